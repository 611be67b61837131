#include "topology/double_tree.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace tutti::topology {
namespace {

void expectTree(const TreeShape& tree, int n) {
  int roots = 0;
  for (int node = 0; node < n; ++node) {
    int steps = 0;
    int at = node;
    while (tree.parent[at] >= 0 && steps <= n) {
      at = tree.parent[at];
      ++steps;
    }
    ASSERT_LE(steps, n) << "a cycle at " << node;
    roots += tree.parent[node] < 0 ? 1 : 0;
  }
  ASSERT_EQ(roots, 1);
}

TEST(DoubleTree, EveryNodeIsALeafInOneAndTheTreesAreFlat) {
  for (int n = 1; n <= 4096; ++n) {
    auto trees = doubleTree(n);
    std::vector<int> innerIn(n, 0);
    for (const TreeShape& t : trees) {
      if (n <= 300 || n % 97 == 0) expectTree(t, n);
      auto children = t.children();
      for (int node = 0; node < n; ++node) {
        ASSERT_LE(children[node].size(), 2u) << n;
        if (!children[node].empty()) ++innerIn[node];
      }
      ASSERT_LE(t.depth(), std::bit_width(static_cast<unsigned>(n - 1)) + 1) << n;
    }
    for (int node = 0; node < n; ++node)
      ASSERT_LE(innerIn[node], 1) << n << ": node " << node << " is inner in both";
  }
}

TEST(DoubleTree, OneEdgePerSite) {
  for (int sites : {1, 2, 3, 5, 8}) {
    std::vector<int> siteOf;
    for (int i = 0; i < 37; ++i) siteOf.push_back(i * 7 % sites);
    for (const TreeShape& t : doubleTreeOverSites(siteOf)) {
      expectTree(t, 37);
      std::vector<int> crossing(sites, 0);
      for (int n = 0; n < 37; ++n)
        if (t.parent[n] >= 0 && siteOf[n] != siteOf[t.parent[n]]) ++crossing[siteOf[n]];
      int total = 0;
      for (int c : crossing) {
        EXPECT_LE(c, 1);
        total += c;
      }
      EXPECT_EQ(total, sites - 1);
    }
    std::vector<int> ring = ringOverSites(siteOf);
    int crossings = 0;
    for (size_t i = 0; i < ring.size(); ++i)
      crossings += siteOf[ring[i]] != siteOf[ring[(i + 1) % ring.size()]] ? 1 : 0;
    EXPECT_EQ(crossings, sites > 1 ? sites : 0);
    EXPECT_EQ(std::set<int>(ring.begin(), ring.end()).size(), 37u);
  }
}

}  // namespace
}  // namespace tutti::topology
