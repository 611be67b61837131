// Pipelined binary trees. AllReduce uses two at once, each with half of the data, such that no rank is an
// inner node of both (Sanders, Speck, Traeff, "Two-tree algorithms for full bandwidth broadcast, reduction
// and scan", 2009).
//
//   AllReduce  up and down both trees: 2*log2(n) steps of latency, about 2*S bytes sent per rank
//   Broadcast  down one tree rooted at the root: log2(n) steps, inner nodes send 2*S
//   Reduce     up one tree
//
// Tree 0 is the heap: node v has children 2v+1 and 2v+2, so inner nodes are 0 .. n/2-1. Tree 1 is the same
// over n-1-v: its inner nodes are the upper half. Up and down are lanes of their own, so a rank takes new
// chunks up while old ones come down.
//
// With a rank order (ranks on several hosts, or bound to cores of several NUMA nodes), both trees are made of
// trees inside the groups, whose roots a tree over the groups joins: one edge leaves each group, and still no
// rank is inner in both.
#include <algorithm>
#include <array>
#include <map>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// A rank's place in a tree; -1: none.
struct Place {
  int parent = -1;
  int children[Peers::kMax] = {-1, -1, -1, -1};
  int childCount = 0;
};

/// Place of the rank at heap position `position`; rankAt maps positions to ranks.
template <typename RankAt>
Place placeIn(int n, int position, RankAt rankAt) {
  Place place;
  if (position > 0) place.parent = rankAt((position - 1) / 2);
  for (int child = 2 * position + 1; child <= 2 * position + 2 && child < n; ++child) {
    place.children[place.childCount++] = rankAt(child);
  }
  return place;
}

/// Places of `rank` in the two trees of a rank order.
std::array<Place, 2> placesIn(const RankOrder& order, int rank) {
  std::array<Place, 2> places;
  for (int t = 0; t < 2; ++t) {
    const JoinedTrees::Place& place = order.trees->placeAt(order, t, order.positionOf[rank]);
    if (place.parent >= 0) places[t].parent = order.rankAt[place.parent];
    for (int c = 0; c < place.childCount; ++c)
      places[t].children[places[t].childCount++] = order.rankAt[order.trees->child(t, place.firstChild + c)];
  }
  return places;
}

/// Place of `rank` in a tree from `root`: heaps inside the groups, and a heap over their first members.
Place placeFrom(const RankOrder& order, int rank, int root) {
  const int n = static_cast<int>(order.rankAt.size());
  const int rootAt = order.positionOf[root];
  std::vector<std::vector<int>> groups;  // ranks, the first one leads; the root's group first
  std::map<int, size_t> groupOf;
  auto put = [&](int position) {
    auto [at, isNew] = groupOf.try_emplace(order.groupAt[position], groups.size());
    if (isNew) groups.emplace_back();
    groups[at->second].push_back(order.rankAt[position]);
  };
  put(rootAt);
  for (int p = 0; p < n; ++p)
    if (p != rootAt) put(p);
  const size_t mine = groupOf[order.groupAt[order.positionOf[rank]]];
  const std::vector<int>& members = groups[mine];
  const int inside = static_cast<int>(std::find(members.begin(), members.end(), rank) - members.begin());
  Place place = placeIn(static_cast<int>(members.size()), inside, [&](int v) { return members[v]; });
  if (inside == 0) {
    const Place between =
        placeIn(static_cast<int>(groups.size()), static_cast<int>(mine), [&](int g) { return groups[g][0]; });
    place.parent = between.parent;
    for (int c = 0; c < between.childCount; ++c) place.children[place.childCount++] = between.children[c];
  }
  return place;
}

Step fromChildren(const Place& place, Make step) {
  for (int c = 0; c < place.childCount; ++c) step.from(fixed(place.children[c]));
  return step;
}

Step toChildren(const Place& place, Make step) {
  for (int c = 0; c < place.childCount; ++c) step.to(fixed(place.children[c]));
  return step;
}

Lane upLane(const Place& place) {
  Lane lane;
  if (place.childCount == 0) {
    lane.steps.push_back(Make().take(input(fixed(0))).to(fixed(place.parent)));
  } else if (place.parent >= 0) {
    lane.steps.push_back(
        fromChildren(place, Make().reduce(input(fixed(0)), Order::LocalFirst).to(fixed(place.parent))));
  } else {
    lane.steps.push_back(fromChildren(
        place, Make().reduce(input(fixed(0)), Order::LocalFirst).finish().into(output(fixed(0)))));
  }
  return lane;
}

Lane downLane(const Place& place) {
  Lane lane;
  if (place.parent < 0) {
    lane.steps.push_back(toChildren(place, Make().take(input(fixed(0))).into(output(fixed(0)))));
  } else {
    lane.steps.push_back(toChildren(place, Make().from(fixed(place.parent)).into(output(fixed(0)))));
  }
  return lane;
}

void addAllReduceTree(Plan& plan, const Place& place, int tree, int trees) {
  auto push = [&](Lane lane) {
    lane.channel = static_cast<uint8_t>(tree);
    lane.part = tree;
    lane.parts = trees;
    plan.lanes.push_back(std::move(lane));
  };
  if (place.parent >= 0) {
    push(upLane(place));
    push(downLane(place));
    return;
  }
  // The root turns the last reduction into the first copy down.
  Lane lane = upLane(place);
  for (int c = 0; c < place.childCount; ++c) lane.steps[0].sendTo.add(fixed(place.children[c]));
  push(std::move(lane));
}

bool supportsTree(const Request& request, Protocol, const Limits&) {
  return request.collective == Collective::AllReduce || request.collective == Collective::Broadcast ||
         request.collective == Collective::Reduce;
}

Plan buildTree(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const size_t chunk = chunkFor(request, messageBytes(protocol, limits));
  Plan plan = planFor(request, Algorithm::Tree, protocol, rank, Layout::Split, 1, chunk);
  if (request.collective == Collective::AllReduce && limits.order != nullptr) {
    const std::array<Place, 2> places = placesIn(*limits.order, rank);
    for (int t = 0; t < 2; ++t) addAllReduceTree(plan, places[t], t, 2);
    return plan;
  }
  if (request.collective == Collective::AllReduce) {
    addAllReduceTree(plan, placeIn(n, rank, [](int v) { return v; }), 0, 2);
    addAllReduceTree(plan, placeIn(n, n - 1 - rank, [n](int v) { return n - 1 - v; }), 1, 2);
    return plan;
  }
  const int root = request.root;
  const Place place = limits.order != nullptr
                          ? placeFrom(*limits.order, rank, root)
                          : placeIn(n, (rank - root + n) % n, [n, root](int v) { return (v + root) % n; });
  plan.lanes.push_back(request.collective == Collective::Broadcast ? downLane(place) : upLane(place));
  return plan;
}

}  // namespace

const Builder kTree{Algorithm::Tree, "tree: pipelined binary trees, two for AllReduce", supportsTree,
                    buildTree};

}  // namespace tutti::algos
