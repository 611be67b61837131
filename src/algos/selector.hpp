// Selector: which algorithm and protocol a request gets, and why.
//
// It prices every candidate that the machine supports and the user allows (NCCL_ALGO, NCCL_PROTO) with the
// cost model of cost.hpp and takes the cheapest. The choice is a pure function of the request and of values
// that are equal on all ranks, so that all ranks choose alike.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "algos/algorithm.hpp"
#include "algos/cost.hpp"
#include "core/result.hpp"

namespace tutti::algos {

struct Choice {
  Algorithm algorithm = Algorithm::Ring;
  Protocol protocol = Protocol::Simple;
  double predictedUs = 0;
};

/// What NCCL_ALGO and NCCL_PROTO leave: a bit per algorithm (protocol) and collective.
struct Filter {
  std::array<uint32_t, kCollectiveCount> algorithms;
  std::array<uint32_t, kCollectiveCount> protocols;
  bool forced = false;  ///< the user said something: an empty result is the user's error

  Filter();
  /// NCCL's notation: "ring,tree", "^tree", "allreduce:ring,tree;broadcast:ring". Names are NCCL's or ours,
  /// in any case; NCCL's names for hardware that a host has not (nvls, collnet..., ll128) are known and
  /// simply match nothing.
  static Result<Filter> parse(std::string_view algorithms, std::string_view protocols);
};

class Selector {
 public:
  Selector(const Machine& machine, const Limits& limits, const Filter& filter)
      : machine_(machine), limits_(limits), filter_(filter) {}

  /// The cheapest candidate; InvalidUsage if the user's filter leaves none.
  Result<Choice> choose(const Request& request) const { return choose(request, filter_); }
  Result<Choice> choose(const Request& request, const Filter& filter) const;
  /// All candidates, cheapest first.
  std::vector<Choice> candidates(const Request& request, const Filter& filter) const;

  /// For people: all candidates with their predictions, and how much dearer each is than the choice.
  std::string explain(const Request& request, const Filter& filter) const;

  const Limits& limits() const { return limits_; }
  const Machine& machine() const { return machine_; }
  const Filter& filter() const { return filter_; }

 private:
  Machine machine_;
  Limits limits_;
  Filter filter_;
};

}  // namespace tutti::algos
