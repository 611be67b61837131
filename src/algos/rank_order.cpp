#include "algos/rank_order.hpp"

#include "topology/double_tree.hpp"

namespace tutti::algos {

RankOrder RankOrder::of(std::vector<int> rankAt, std::vector<int> groupAt) {
  RankOrder order{std::move(rankAt), {}, std::move(groupAt), std::make_shared<JoinedTrees>()};
  order.positionOf.resize(order.rankAt.size());
  for (size_t p = 0; p < order.rankAt.size(); ++p)
    order.positionOf[static_cast<size_t>(order.rankAt[p])] = static_cast<int>(p);
  return order;
}

const JoinedTrees::Place& JoinedTrees::placeAt(const RankOrder& order, int tree, int position) {
  std::call_once(made_, [&] { make(order.groupAt); });
  return places_[tree][static_cast<size_t>(position)];
}

void JoinedTrees::make(const std::vector<int>& groupAt) {
  const auto trees = topology::doubleTreeOverSites(groupAt);
  for (int t = 0; t < 2; ++t) {
    const std::vector<int>& parent = trees[t].parent;
    places_[t].resize(parent.size());
    for (size_t p = 0; p < parent.size(); ++p) {
      places_[t][p].parent = parent[p];
      if (parent[p] >= 0) ++places_[t][static_cast<size_t>(parent[p])].childCount;
    }
    int first = 0;
    for (Place& place : places_[t]) {
      place.firstChild = first;
      first += place.childCount;
      place.childCount = 0;
    }
    children_[t].resize(static_cast<size_t>(first));
    for (size_t p = 0; p < parent.size(); ++p) {
      if (parent[p] < 0) continue;
      Place& above = places_[t][static_cast<size_t>(parent[p])];
      children_[t][static_cast<size_t>(above.firstChild) + static_cast<size_t>(above.childCount++)] =
          static_cast<int>(p);
    }
  }
}

}  // namespace tutti::algos
