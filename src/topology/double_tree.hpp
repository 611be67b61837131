// Two binary trees over n nodes in which no node is inner in both, so that together they use every node's
// bandwidth once (Sanders, Speck, Träff 2009). Tree 0 is the in-order tree whose leaves are the even numbers;
// tree 1 is the same tree shifted by one (n odd) or mirrored (n even), which exchanges leaves and inner
// nodes. Depth ≤ ⌈log2 n⌉ + 1.
#pragma once

#include <array>
#include <vector>

namespace tutti::topology {

struct TreeShape {
  std::vector<int> parent;  ///< by node, -1 for the root
  int root() const;
  std::vector<std::vector<int>> children() const;
  int depth() const;  ///< levels: 1 for a single node
};

/// REQUIRES n ≥ 1.
std::array<TreeShape, 2> doubleTree(int n);

/// The same for nodes at several sites: inside each site a double tree, and the sites' roots joined by one,
/// so that each site but the topmost has exactly one edge to another site in each tree.
std::array<TreeShape, 2> doubleTreeOverSites(const std::vector<int>& siteOf);

/// Groups within groups, outermost level first (sites, then leaf switches): one edge leaves each group of
/// each level in each tree. `levels` holds a group number per node each.
std::array<TreeShape, 2> doubleTreeNested(const std::vector<std::vector<int>>& levels, int nodes);

/// Nodes in an order for rings that crosses each site's border once (sites by first appearance, nodes in
/// theirs).
std::vector<int> ringOverSites(const std::vector<int>& siteOf);

}  // namespace tutti::topology
