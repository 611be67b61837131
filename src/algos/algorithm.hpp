// The list of algorithms, each a pure function from a request to a plan.
#pragma once

#include <span>

#include "algos/plan.hpp"

namespace tutti::algos {

struct Builder {
  Algorithm algorithm;
  const char* summary;
  /// Whether it can do `request` with `protocol` under `limits` (boards there or not, blocks fitting a slot).
  bool (*supports)(const Request& request, Protocol protocol, const Limits& limits);
  /// REQUIRES supports(...) and request.nRanks >= 2.
  Plan (*build)(const Request& request, Protocol protocol, int rank, const Limits& limits);
};

/// Every algorithm there is, in the order of the enum.
std::span<const Builder> builtinAlgorithms();
const Builder& builderOf(Algorithm algorithm);

/// Builds and checks: an unsupported combination is an InvalidUsage error that says why.
Result<Plan> buildPlan(const Request& request, Algorithm algorithm, Protocol protocol, int rank,
                       const Limits& limits);

extern const Builder kRing;
extern const Builder kTree;
extern const Builder kRecursiveDoubling;
extern const Builder kOneShot;
extern const Builder kTwoShot;
extern const Builder kPairwise;
extern const Builder kRecursiveHalving;
extern const Builder kBruck;
extern const Builder kBinomial;
extern const Builder kPat;
extern const Builder kSwing;
extern const Builder kHierarchical;
extern const Builder kForest;

}  // namespace tutti::algos
