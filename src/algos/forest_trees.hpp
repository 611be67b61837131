// ForestTrees: spanning trees for the forest algorithm, as many rooted at each rank. Equal on all ranks.
#pragma once

#include <vector>

#include "topology/channel_graph.hpp"

namespace tutti::algos {

struct ForestTrees {
  struct Tree {
    int root = 0;
    std::vector<int> parent;  ///< by rank; -1 for the root
  };
  int perRank = 0;
  std::vector<Tree> trees;  ///< rank 0's first, then rank 1's, ...

  /// Of the trees that the topology room has packed over one machine of `nRanks` ranks. Empty where they do
  /// not span all ranks, or ranks have different numbers of them.
  static ForestTrees of(const topology::ChannelGraph& packed, int nRanks);
};

}  // namespace tutti::algos
