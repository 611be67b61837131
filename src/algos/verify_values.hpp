// Symbolic values of the verifier: what an element holds, as a tree over the ranks' contributions. Equal
// trees have equal numbers. Internal to the verifier.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/result.hpp"

namespace tutti::algos::verify {

/// Number of a tree in a ValueTable.
using Value = uint32_t;
inline constexpr Value kNothing = 0;  ///< never written

class ValueTable {
 public:
  explicit ValueTable(int nRanks);

  /// A rank's input as the user gave it, and as it enters a reduction (scaled where the operator scales).
  Value raw(int rank) const { return 1 + rank; }
  Value scaled(int rank) const { return 1 + nRanks_ + rank; }
  bool isRaw(Value value) const { return value >= 1 && value <= static_cast<Value>(nRanks_); }

  /// sources[0] op sources[1] op ...; an error if that cannot be right in any reduction.
  Result<Value> combine(std::span<const Value> sources);
  Result<Value> finish(Value value);

  bool finished(Value value) const { return nodes_[value].finished; }
  bool complete(Value value) const { return nodes_[value].contributions == nRanks_; }
  /// "nothing", "rank 3's input", "(0 + 1) + 2", "the sum of 17 contributions without that of rank 4"
  std::string describe(Value value) const;

 private:
  struct Node {
    std::vector<Value> children;
    int contributions = 0;
    bool finished = false;
  };
  Value add(Node node, std::span<const Value> setsOf);
  uint64_t* setOf(Value value) { return &sets_[value * words_]; }
  std::string formula(Value value) const;

  int nRanks_;
  size_t words_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> sets_;  ///< which ranks contribute, words_ per value
  std::unordered_map<uint64_t, Value> pairs_;
  std::map<std::vector<Value>, Value> lists_;
  std::unordered_map<Value, Value> finishedOf_;
};

}  // namespace tutti::algos::verify
