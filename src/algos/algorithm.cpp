#include "algos/algorithm.hpp"

namespace tutti::algos {

std::span<const Builder> builtinAlgorithms() {
  static const Builder kAll[] = {
      kRing, kTree,  kRecursiveDoubling, kOneShot, kTwoShot, kPairwise, kRecursiveHalving, kBruck, kBinomial,
      kPat,  kSwing, kHierarchical,      kForest};
  static_assert(std::size(kAll) == kAlgorithmCount);
  return kAll;
}

const Builder& builderOf(Algorithm algorithm) {
  return builtinAlgorithms()[static_cast<size_t>(algorithm)];
}

Result<Plan> buildPlan(const Request& request, Algorithm algorithm, Protocol protocol, int rank,
                       const Limits& limits) {
  if (request.nRanks < 2 || rank < 0 || rank >= request.nRanks) {
    return makeError(Code::InvalidArgument,
                     "a plan needs at least 2 ranks and a rank among them, not rank {} of {}", rank,
                     request.nRanks);
  }
  const Builder& builder = builderOf(algorithm);
  if (!builder.supports(request, protocol, limits)) {
    return makeError(Code::InvalidUsage, "{} has no plan for {} with protocol {}{}", nameOf(algorithm),
                     nameOf(request.collective), nameOf(protocol),
                     limits.boards ? "" : " between ranks that share no memory");
  }
  return builder.build(request, protocol, rank, limits);
}

}  // namespace tutti::algos
