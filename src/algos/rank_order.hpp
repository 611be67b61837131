// RankOrder: the ranks of a communicator in the order in which the machines want them: neighbours in it share
// a cache, then a NUMA node, then a host. Rings go round in this order; trees stay inside a group as long as
// they can and leave it over one edge. Equal on all ranks.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace tutti::algos {

class JoinedTrees;

struct RankOrder {
  std::vector<int> rankAt;             ///< by position, each rank once
  std::vector<int> positionOf;         ///< by rank, the inverse
  std::vector<int> groupAt;            ///< by position: host, or NUMA node or cache of the only host
  std::shared_ptr<JoinedTrees> trees;  ///< of these groups, made when first asked for; shared by copies

  /// REQUIRES a permutation in `rankAt`, and as many groups.
  static RankOrder of(std::vector<int> rankAt, std::vector<int> groupAt);
};

/// The two trees over an order's groups, by position. Made once, though every rank looks itself up.
class JoinedTrees {
 public:
  struct Place {
    int parent = -1;
    int firstChild = 0;  ///< in children()
    int childCount = 0;
  };
  /// Thread-safe.
  const Place& placeAt(const RankOrder& order, int tree, int position);
  int child(int tree, int i) const { return children_[tree][static_cast<size_t>(i)]; }

 private:
  void make(const std::vector<int>& groupAt);

  std::once_flag made_;
  std::vector<Place> places_[2];
  std::vector<int> children_[2];
};

}  // namespace tutti::algos
