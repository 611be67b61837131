// Many machines as one graph. A machine that occurs a thousand times is held once: a cluster is the list of
// its different machines and, per host, which of them it is and where it stands (site, leaf switch). So is
// what hosts tell each other: every host sends a note of fixed size; the text of a machine is sent by one
// host only, the first that has it.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "topology/analysis.hpp"
#include "topology/double_tree.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::topology {

/// TUTTI_FABRIC_FILE: what no probe sees. JSON, see docs/topology.md.
struct FabricFile {
  struct Place {
    std::string site;
    std::string leaf;
  };
  std::map<std::string, Place> places;  ///< by host name
  double oversubscription = 1;          ///< leaf to spine: 2 means half the bandwidth between leaves
  bool railOnly = false;                ///< NICs of different rails cannot reach each other
  double siteGbps = 0;                  ///< per machine between sites, 0: as within
  std::map<std::string, int> rails;     ///< by NIC name, where the machine's own description has none
  std::map<std::pair<std::string, std::string>, double> distances;  ///< between sites, both ways round
};
Result<FabricFile> parseFabricFile(std::string_view json, std::string_view fileName);

/// 24 bytes a host. Equal machines have equal notes but for the host name's hash.
struct MachineNote {
  uint64_t machine = 0;  ///< hash of the text
  uint64_t host = 0;     ///< hash of the host's name
  uint32_t bytes = 0;    ///< of the text, at most kMaxMachineBytes
  uint32_t reserved = 0;
};
inline constexpr uint32_t kMaxMachineBytes = 4u << 20;

/// What a host sends: its note, and the text that goes with it when it is asked for.
Result<MachineNote> noteOf(const Topology& topology, const std::string& hostName, std::string& text);
/// Hosts whose text is needed: the first of each kind, in order. Every host computes the same list.
std::vector<int> hostsToAsk(std::span<const MachineNote> notes);

struct Cluster {
  std::vector<Graph> kinds;
  std::vector<int> kindOf;  ///< by host
  std::vector<int> siteOf;
  std::vector<int> leafOf;  ///< a leaf belongs to one site: equal names at two sites are two leaves
  std::vector<std::string> siteNames;  ///< by number in siteOf
  FabricFile fabric;

  int hosts() const { return static_cast<int>(kindOf.size()); }
  int ranks() const;
  uint64_t hash() const;
};

/// `texts` in the order of hostsToAsk(). A text that does not have its note's hash is an error.
Result<Cluster> mergeCluster(std::span<const MachineNote> notes, std::span<const std::string> texts,
                             std::span<const std::string> hostNames, const FabricFile& fabric = {});

/// Hosts in the order of a ring: each site in one piece, sites by the shortest way round where distances are
/// known, each leaf switch in one piece.
std::vector<int> machineOrder(const Cluster& cluster);

struct ClusterPlan {
  int channels = 0;
  double ringGbps = 0;    ///< sum over channels, between machines
  double forestGbps = 0;  ///< of result, AllGather
  double boundGbps = 0;
  std::string limitedBy;          ///< what of the fabric holds the ring back, "" for the machines themselves
  double siteDistance = 0;        ///< of one round of the ring, where distances are known
  std::vector<int> machineOrder;  ///< hosts in ring order: each site in one piece, each leaf in one piece
  /// Ring channels of a host: which variant of its kind's it uses.
  struct Variant {
    int kind = 0;
    ChannelGraph ring;  ///< orders and NICs, channel by channel
  };
  std::vector<Variant> variants;
  std::vector<int> variantOf;      ///< by position in machineOrder
  int railCrossings = 0;           ///< hops between machines that leave their rail, over all channels
  int siteCrossings = 0;           ///< borders between sites that one ring crosses
  int leafCrossings = 0;           ///< and between leaf switches
  std::array<TreeShape, 2> trees;  ///< over hosts: one edge per site, and within a site one per leaf
  double searchMs = 0;
  uint64_t hash = 0;
};

/// Rings over all machines that keep to their rails, double trees over sites, and the totals. Pure.
Result<ClusterPlan> planCluster(Cluster& cluster, const Settings& settings);

}  // namespace tutti::topology
