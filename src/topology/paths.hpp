// The best path between any two devices of a machine, by NCCL's rules: nearest type first, then widest, then
// fewest hops; GPUs relay only over NVLink; traffic that may not go peer to peer is led through the CPU; a
// NIC may be reached through the NVLinks of the GPU beside it (PXN). Pure: equal graphs and settings give
// equal paths on every rank.
#pragma once

#include <vector>

#include "core/result.hpp"
#include "topology/graph.hpp"

namespace tutti::topology {

/// What the user may set about planning. Defaults are NCCL's.
struct Settings {
  PathType p2pLevel = PathType::Dis;  ///< NCCL_P2P_LEVEL; Dis: by the machine
  PathType gdrLevel = PathType::Dis;  ///< NCCL_NET_GDR_LEVEL; Dis: by the machine
  bool pxn = true;                    ///< !NCCL_PXN_DISABLE
  bool nvb = true;                    ///< !NCCL_NVB_DISABLE
  int crossNic = 2;                   ///< NCCL_CROSS_NIC: 0 same NIC in and out, 1 any, 2 where it helps
  int minChannels = 1;                ///< NCCL_MIN_NCHANNELS
  int maxChannels = 32;               ///< NCCL_MAX_NCHANNELS
  int channelsPerNetPeer = 0;         ///< NCCL_NCHANNELS_PER_NET_PEER; 0: by bandwidth
  bool ignoreCpuAffinity = false;     ///< NCCL_IGNORE_CPU_AFFINITY
};

/// Reads them from the parameter table; a level that is no level is an error that names the variable.
Result<Settings> settingsFromParams();
/// "PIX", "phb", or NCCL's old numbers 0..5.
Result<PathType> parseLevel(std::string_view text);

struct Path {
  PathType type = PathType::Dis;
  double gbps = 0;
  std::vector<int> links;  ///< in order, indices into Graph::links
};

/// Loads a transfer puts on links: `factor` times its own bandwidth.
struct LinkLoad {
  int link;
  double factor;
};

class Paths {
 public:
  Paths(const Graph& graph, const Settings& settings);

  /// REQUIRES both to be ranks' nodes, Net, Cpu or Nvs.
  const Path& between(int fromNode, int toNode) const { return paths_[at(fromNode, toNode)]; }
  /// Loads of a transfer along that path, with what Intel's root complex and reads of old GPUs cost on top.
  std::vector<LinkLoad> loads(int fromNode, int toNode) const;
  void appendLoads(int fromNode, int toNode, std::vector<LinkLoad>& loads) const;
  bool gdrAllowed(int rankNode, int netNode, bool read) const;
  /// The NUMA node nearest to that rank, -1 when it hangs nowhere.
  int localCpu(int node) const;
  /// By index of Graph::nets: the GPU (index into Graph::ranks) that serves the NIC, -1 for none.
  const std::vector<int>& localGpuOfNet() const { return localGpu_; }

 private:
  size_t at(int from, int to) const {
    return static_cast<size_t>(endpointOf_[from]) * endpoints_.size() + static_cast<size_t>(endpointOf_[to]);
  }
  Path& ref(int from, int to) { return paths_[at(from, to)]; }
  void searchTo(int base);
  void leadThrough(int via, int from, int to);
  void restrictPeerToPeer();
  void restrictNics();
  void chooseLocalGpus();

  const Graph& graph_;
  Settings settings_;
  std::vector<int> endpoints_;
  std::vector<int> endpointOf_;
  std::vector<Path> paths_;
  std::vector<int> localGpu_;
};

}  // namespace tutti::topology
