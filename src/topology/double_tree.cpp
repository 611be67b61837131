#include "topology/double_tree.hpp"

#include <algorithm>
#include <map>

namespace tutti::topology {
namespace {

/// The balanced full binary tree, in order, over the positions [low, high]: an odd number of them, leaves at
/// both ends.
int inOrder(std::vector<int>& parent, int low, int high) {
  if (low == high) return low;
  int inner = (high - low) / 2;  // so many inner positions, all at low + odd
  int middle = low + 1 + 2 * (inner / 2);
  parent[inOrder(parent, low, middle - 1)] = middle;
  parent[inOrder(parent, middle + 1, high)] = middle;
  return middle;
}

}  // namespace

int TreeShape::root() const {
  return static_cast<int>(std::find(parent.begin(), parent.end(), -1) - parent.begin());
}

std::vector<std::vector<int>> TreeShape::children() const {
  std::vector<std::vector<int>> below(parent.size());
  for (int n = 0; n < static_cast<int>(parent.size()); ++n)
    if (parent[n] >= 0) below[parent[n]].push_back(n);
  return below;
}

int TreeShape::depth() const {
  int deepest = 0;
  for (int n = 0; n < static_cast<int>(parent.size()); ++n) {
    int levels = 1;
    for (int at = n; parent[at] >= 0; at = parent[at]) ++levels;
    deepest = std::max(deepest, levels);
  }
  return deepest;
}

std::array<TreeShape, 2> doubleTree(int n) {
  std::array<TreeShape, 2> trees;
  std::vector<int>& first = trees[0].parent;
  first.assign(static_cast<size_t>(n), -1);
  if (n % 2 == 1) {
    inOrder(first, 0, n - 1);
  } else {
    // An even number cannot be a full tree: the last node sits on top with one child.
    first[inOrder(first, 0, n - 2)] = n - 1;
  }
  trees[1].parent.assign(static_cast<size_t>(n), -1);
  auto other = [n](int node) { return n % 2 == 1 ? (node + 1) % n : n - 1 - node; };
  for (int node = 0; node < n; ++node)
    trees[1].parent[other(node)] = first[node] < 0 ? -1 : other(first[node]);
  return trees;
}

std::array<TreeShape, 2> doubleTreeOverSites(const std::vector<int>& siteOf) {
  std::map<int, int> siteIndex;
  std::vector<std::vector<int>> members;
  for (int node : ringOverSites(siteOf)) {
    auto [at, isNew] = siteIndex.try_emplace(siteOf[node], static_cast<int>(members.size()));
    if (isNew) members.emplace_back();
    members[at->second].push_back(node);
  }
  std::array<TreeShape, 2> between = doubleTree(static_cast<int>(members.size()));
  std::array<TreeShape, 2> trees;
  for (int t = 0; t < 2; ++t) {
    trees[t].parent.assign(siteOf.size(), -1);
    std::vector<int> roots;
    for (const std::vector<int>& site : members) {
      std::array<TreeShape, 2> inside = doubleTree(static_cast<int>(site.size()));
      for (size_t i = 0; i < site.size(); ++i)
        if (inside[t].parent[i] >= 0) trees[t].parent[site[i]] = site[inside[t].parent[i]];
      roots.push_back(site[inside[t].root()]);
    }
    for (size_t s = 0; s < members.size(); ++s)
      if (between[t].parent[s] >= 0) trees[t].parent[roots[s]] = roots[between[t].parent[s]];
  }
  return trees;
}

std::vector<int> ringOverSites(const std::vector<int>& siteOf) {
  std::map<int, int> firstSeen;
  for (int node = 0; node < static_cast<int>(siteOf.size()); ++node)
    firstSeen.try_emplace(siteOf[node], node);
  std::vector<int> order(siteOf.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return firstSeen[siteOf[a]] < firstSeen[siteOf[b]]; });
  return order;
}

}  // namespace tutti::topology
