// Switches between machines: which links a message takes from one NIC port to another. Ports themselves
// belong to the machines (ClusterNetwork).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "sim/network.hpp"

namespace tutti::sim {

enum class FabricKind : uint8_t {
  RailTree,   ///< fat tree, a leaf switch per rail and group of machines ("rail-optimised")
  Clos,       ///< fat tree, all NICs of a machine on one leaf switch
  Torus,      ///< machines linked to their neighbours
  Dragonfly,  ///< groups of routers, all groups linked to all, shortest ways only
};
std::string_view nameOf(FabricKind kind);  ///< "rail", "clos", "torus", "dragonfly"
Result<FabricKind> fabricFromName(std::string_view name);

struct FabricShape {
  FabricKind kind = FabricKind::RailTree;
  int machines = 1;
  int nics = 1;                 ///< of a machine
  double portGbps = 50;         ///< of a NIC, and of every port of a switch
  double hopUs = 0.5;           ///< a switch and the cable behind it
  int radix = 64;               ///< ports of a switch; fat trees: half of them down
  double oversubscription = 1;  ///< leaf to what is above
  bool railOnly = false;        ///< leaves of different rails are not joined
  std::vector<int> torus;       ///< lengths; empty: as near to a cube as the machines allow
  std::vector<int> leafOf;      ///< by machine, where known; else machines fill leaves in order
};

/// One end: a NIC of a machine.
struct Port {
  int machine = 0;
  int nic = 0;
};

class Fabric {
 public:
  using AddLink = std::function<uint32_t(double gbps, double latencyUs)>;
  virtual ~Fabric() = default;

  /// REQUIRES different machines.
  virtual uint64_t ways(Port from, Port to) const = 0;
  virtual void route(Port from, Port to, uint64_t way, Route& out) const = 0;
  /// "leaf 3 → spine 7"; REQUIRES a link that this fabric added.
  virtual std::string linkName(uint32_t link) const = 0;
  virtual std::string describe() const = 0;
};

/// Adds the fabric's links. An error where the shape cannot be built.
Result<std::unique_ptr<Fabric>> makeFabric(const FabricShape& shape, const Fabric::AddLink& add);

// One each, see their files.
Result<std::unique_ptr<Fabric>> makeFatTree(const FabricShape& shape, const Fabric::AddLink& add);
Result<std::unique_ptr<Fabric>> makeTorus(const FabricShape& shape, const Fabric::AddLink& add);
Result<std::unique_ptr<Fabric>> makeDragonfly(const FabricShape& shape, const Fabric::AddLink& add);

}  // namespace tutti::sim
