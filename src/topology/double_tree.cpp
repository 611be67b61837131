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

namespace {

/// Double trees over `nodes` (numbers of the whole), grouped by levels[level] and below.
void nest(const std::vector<std::vector<int>>& levels, size_t level, const std::vector<int>& nodes,
          std::array<TreeShape, 2>& trees, std::array<int, 2>& roots) {
  std::vector<std::vector<int>> groups;
  if (level < levels.size()) {
    std::map<int, size_t> index;
    for (int node : nodes) {
      auto [at, isNew] = index.try_emplace(levels[level][static_cast<size_t>(node)], groups.size());
      if (isNew) groups.emplace_back();
      groups[at->second].push_back(node);
    }
  } else {
    for (int node : nodes) groups.push_back({node});
  }
  std::vector<std::array<int, 2>> heads;
  for (const std::vector<int>& group : groups) {
    heads.push_back({group[0], group[0]});
    if (group.size() > 1) nest(levels, level + 1, group, trees, heads.back());
  }
  const std::array<TreeShape, 2> between = doubleTree(static_cast<int>(groups.size()));
  for (size_t t = 0; t < 2; ++t) {
    for (size_t g = 0; g < groups.size(); ++g) {
      const int parent = between[t].parent[g];
      trees[t].parent[static_cast<size_t>(heads[g][t])] =
          parent < 0 ? -1 : heads[static_cast<size_t>(parent)][t];
    }
    roots[t] = heads[static_cast<size_t>(between[t].root())][t];
  }
}

}  // namespace

std::array<TreeShape, 2> doubleTreeNested(const std::vector<std::vector<int>>& levels, int nodes) {
  std::array<TreeShape, 2> trees;
  for (TreeShape& t : trees) t.parent.assign(static_cast<size_t>(nodes), -1);
  std::vector<int> all(static_cast<size_t>(nodes));
  for (int n = 0; n < nodes; ++n) all[static_cast<size_t>(n)] = n;
  std::array<int, 2> roots{};
  nest(levels, 0, all, trees, roots);
  return trees;
}

std::array<TreeShape, 2> doubleTreeOverSites(const std::vector<int>& siteOf) {
  return doubleTreeNested({siteOf}, static_cast<int>(siteOf.size()));
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
