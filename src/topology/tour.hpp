// Cheap orders of few things: a path over all ranks that minimises entry + hops + exit. Exact up to nine
// ranks (dynamic programming over subsets), above that a greedy start improved by moving and turning
// segments. Deterministic.
#pragma once

#include <span>
#include <vector>

namespace tutti::topology {

struct TourProblem {
  int count = 0;
  std::vector<double> hop;    ///< count × count, hop[a * count + b]; huge where there is no way
  std::vector<double> entry;  ///< by first rank
  std::vector<double> exit;   ///< by last rank; for a closed ring leave entry and exit at 0 and set closed
  bool closed = false;

  double cost(std::span<const int> order) const;
};

/// REQUIRES count ≥ 1. `hints` are orders to start from besides the greedy ones (each a permutation); they
/// may be empty.
std::vector<int> cheapestOrder(const TourProblem& problem, std::span<const std::vector<int>> hints);

}  // namespace tutti::topology
