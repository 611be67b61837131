// Requests and plans for the tests of this room.
#pragma once

#include <vector>

#include "algos/algorithm.hpp"
#include "algos/verify_matrix.hpp"

namespace tutti::algos::testing {

/// Under a sanitizer the long matrices are cut short: they look for wrong plans, not for wrong memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

inline Request requestFor(Collective collective, int nRanks, size_t count, int root = 0,
                          bool inPlace = false) {
  Request request;
  request.collective = collective;
  request.nRanks = nRanks;
  request.count = count;
  request.root = root;
  request.inPlace = inPlace;
  return request;
}

/// Calls visit(request, algorithm, protocol, plans) for all that `nRanks` ranks can do, at `count` elements.
template <typename Visit>
void forEachPlanSet(int nRanks, size_t count, Visit visit) {
  const Limits limits = matrixLimits(nRanks);
  for (const Builder& builder : builtinAlgorithms()) {
    for (int c = 0; c < kCollectiveCount; ++c) {
      for (Protocol protocol : {Protocol::Simple, Protocol::LL}) {
        const Request request = requestFor(static_cast<Collective>(c), nRanks, count, nRanks - 1);
        if (!builder.supports(request, protocol, limits)) continue;
        auto plans = buildPlans(request, builder.algorithm, protocol, limits);
        if (plans.ok()) visit(request, builder.algorithm, protocol, std::move(*plans));
      }
    }
  }
}

inline VerifyOptions optionsFor(int nRanks) {
  VerifyOptions options;
  options.limits = matrixLimits(nRanks);
  return options;
}

}  // namespace tutti::algos::testing
