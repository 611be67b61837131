// What the ranks do: a list of items, collective calls on groups of ranks and stretches of computing, with
// what each waits for. A single collective is a workload of one item.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "algos/algorithm.hpp"
#include "sim/stamp.hpp"

namespace tutti::sim {

/// How the ranks fall into groups. Groups are equal in size; a rank is in one of them at most.
struct Groups {
  /// Ranks that differ in one digit of the rank's number: rank = ... + digit * stride + ..., digit below
  /// size.
  int size = 1;
  int stride = 1;
  /// Instead, where not empty: one group of all, position → rank and back.
  std::vector<int> order;
  std::vector<int> positionOf;
  /// Only groups whose ranks fulfil all of these take part: (rank / stride) % size == digit.
  struct Only {
    int stride = 1;
    int size = 1;
    int digit = 0;
  };
  std::vector<Only> only;
  /// Where not empty: only members with these digits take part, in this order (digit → position is its
  /// place).
  std::vector<int> digits;

  static Groups all(int nRanks) { return {nRanks, 1, {}, {}, {}, {}}; }
  static Groups ordered(std::vector<int> order);

  int members() const { return digits.empty() ? size : static_cast<int>(digits.size()); }
  /// Position in its group, -1: not part of any.
  int positionIn(int rank) const;
  /// The rank at `position` of the group that `rank` is in.
  int member(int rank, int position) const;
};

struct Item {
  std::string name;
  /// Computing, microseconds; no call.
  bool computes = false;
  double computeUs = 0;
  Groups groups;
  // The call.
  algos::Request request;  ///< nRanks is the groups' size
  algos::Algorithm algorithm = algos::Algorithm::Ring;
  algos::Protocol protocol = algos::Protocol::Simple;
  algos::Limits limits;
  std::vector<int> after;  ///< items that must be done on the same rank, all earlier in the list
};

struct Workload {
  int nRanks = 0;
  std::vector<Item> items;

  /// One call on all ranks.
  static Workload single(const algos::Request& request, algos::Algorithm algorithm, algos::Protocol protocol,
                         const algos::Limits& limits);
  /// Groups that fit the ranks, dependencies that look back, sizes that are there.
  Status check() const;
};

}  // namespace tutti::sim
