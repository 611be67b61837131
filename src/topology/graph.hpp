// The graph of a machine: a value. Devices, switches, NUMA nodes and caches are nodes; what carries bytes
// between two of them is a pair of directed links. Everything in this room but discovery is a pure function
// of a Graph.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::topology {

enum class NodeType : uint8_t { Gpu, Pci, Nvs, Cpu, Nic, Net, Core, Cache };
enum class LinkType : uint8_t { Loc, Nvl, C2c, Pci, Sys, Net, Mem };

/// How far apart two devices are; the order is NCCL's, nearest first.
enum class PathType : uint8_t { Loc, Nvl, Nvb, C2c, Pix, Pxb, P2c, Pxn, Phb, Sys, Net, Dis };

enum class CpuArch : uint8_t { Unknown, X86, Arm, Power };
enum class CpuVendor : uint8_t { Unknown, Intel, Amd, Zhaoxin };

std::string_view nameOf(NodeType type);
std::string_view nameOf(LinkType type);
std::string_view nameOf(PathType type);

struct Link {
  int from = -1;
  int to = -1;
  LinkType type = LinkType::Loc;
  double gbps = 0;  ///< GB/s, this direction
};

struct Node {
  NodeType type = NodeType::Pci;
  int host = 0;      ///< machine within the graph (several trays of one NVLink domain share a graph)
  int64_t id = 0;    ///< PCI bus id, NUMA number, net device number or core number, by type
  std::string name;  ///< what a person calls it: "GPU 3", "mlx5_0", "NUMA 1", "PCI 0000:16:00.0"

  int rank = -1;  ///< Gpu and Core: the rank that sits here, -1 for none
  int dev = -1;   ///< Gpu: NVML number; Net: device number
  int sm = 0;     ///< Gpu: compute capability times 10
  bool gdr = false;

  CpuArch arch = CpuArch::Unknown;  ///< Cpu
  CpuVendor vendor = CpuVendor::Unknown;
  int family = 0;
  int model = 0;
  std::string affinity;

  uint64_t device = 0;  ///< Pci and Gpu: vendor, device, subsystem vendor, subsystem device, 16 bits each
  uint64_t asic = 0;    ///< Net: GUID; NICs that share it (and the port) share the wire
  int port = 0;
  double netGbps = 0;
  double latencyUs = 0;
  int rail = -1;
  int plane = -1;
  int localGpu = -1;  ///< Net: index into Graph::ranks of the GPU that serves it, set by computePaths()

  std::vector<int> out;  ///< links that leave, widest first, as indices into Graph::links
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<Link> links;
  std::vector<int> ranks;  ///< nodes on which ranks sit, by rank
  std::vector<int> nets;   ///< Net nodes, by device number
  std::vector<int> cpus;   ///< NUMA nodes
  std::vector<int> nvswitches;
  int hosts = 1;
  bool hostRanks = false;  ///< ranks sit on cores, not on GPUs
  struct CorePair {
    int from;  ///< Core nodes
    int to;
    double oneWayNs;
  };
  std::vector<CorePair> coreLatencies;  ///< measured; not part of the hash, for no two measurements agree
  std::vector<std::string> seen;        ///< by which means this machine was looked at, and what they showed
  std::vector<std::string> warnings;    ///< what could not be read or was assumed, and what follows from it

  int addNode(Node node);
  /// Adds `gbps` to the link from → to of that type, creating it when there is none.
  void connect(int from, int to, LinkType type, double gbps);
  void connectBoth(int a, int b, LinkType type, double gbps) {
    connect(a, b, type, gbps);
    connect(b, a, type, gbps);
  }
  /// The link that leads back, -1 when there is none.
  int reverseOf(int link) const;
  int findLink(int from, int to, LinkType type) const;
  /// Fills ranks, nets, cpus, nvswitches from the nodes. REQUIRES unique ranks.
  void index();
  /// "GPU 0 → NVSwitch"
  std::string linkName(int link) const;
  /// Equal graphs have equal hashes on every machine (FNV-1a over the values; no pointers, no padding).
  uint64_t hash() const;
};

}  // namespace tutti::topology
