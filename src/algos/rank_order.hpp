// RankOrder: the ranks of a communicator in the order in which the machines want them: neighbours in it share
// a cache, then a NUMA node, then a host. Rings go round in this order; trees stay inside a group as long as
// they can and leave it over one edge. Equal on all ranks.
#pragma once

#include <vector>

namespace tutti::algos {

struct RankOrder {
  std::vector<int> rankAt;      ///< by position, each rank once
  std::vector<int> positionOf;  ///< by rank, the inverse
  std::vector<int> groupAt;     ///< by position: host, or NUMA node or cache of the only host

  /// REQUIRES a permutation in `rankAt`, and as many groups.
  static RankOrder of(std::vector<int> rankAt, std::vector<int> groupAt) {
    RankOrder order{std::move(rankAt), {}, std::move(groupAt)};
    order.positionOf.resize(order.rankAt.size());
    for (size_t p = 0; p < order.rankAt.size(); ++p)
      order.positionOf[static_cast<size_t>(order.rankAt[p])] = static_cast<int>(p);
    return order;
  }
};

}  // namespace tutti::algos
