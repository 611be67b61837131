// What a search finds: channels over the ranks of one machine, and how fast each may run.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "topology/graph.hpp"

namespace tutti::topology {

/// The numbers of the first three are NCCL's pattern numbers in graph files.
enum class Pattern : uint8_t { BalancedTree = 1, SplitTree = 2, Tree = 3, Ring = 4, Nvls = 5, Forest = 100 };
std::string_view nameOf(Pattern pattern);  ///< "ring", "tree", "nvls", "forest"

/// One spanning tree of a forest: `gbps` of the shard of `root` flows along `edges` (parent, child), parents
/// first. Indices are positions in Graph::ranks; kOutside stands for the other machines (in a forest over
/// several).
struct ForestTree {
  static constexpr int kOutside = -1;
  int root = 0;
  double gbps = 0;
  int copies = 1;  ///< so many equal trees
  struct Edge {
    int from;
    int to;
    std::vector<int> links;  ///< the physical way
  };
  std::vector<Edge> edges;
};

struct ChannelGraph {
  Pattern pattern = Pattern::Ring;
  int nodes = 1;
  double intraGbps = 0;  ///< of one channel, between ranks of a machine
  double interGbps = 0;  ///< of one channel, in and out of the machine (nodes > 1)
  PathType typeIntra = PathType::Loc;
  PathType typeInter = PathType::Pix;
  int crossNic = 0;
  bool sameChannels = false;
  std::vector<std::vector<int>>
      orders;  ///< per channel, ranks in order (positions in Graph::ranks); Nvls: the head
  std::vector<std::pair<int, int>>
      nets;  ///< per channel, NIC in and NIC out (indices into Graph::nets), nodes > 1 only
  std::vector<ForestTree> trees;  ///< Forest only
  int bottleneck = -1;            ///< the link that is full, index into Graph::links, -1 for none

  int channels() const { return static_cast<int>(orders.size()); }
  /// As NCCL's table counts: the sum over channels inside the machine, over several machines between them. A
  /// forest counts the sum over its trees, which is the speed at which an AllGather's result grows.
  double totalGbps() const;
};

}  // namespace tutti::topology
