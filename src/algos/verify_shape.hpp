// What the verifier knows before playing: sizes of the buffers, where blocks lie in them, and whether every
// step is one that the host engine can play. Internal to the verifier.
#pragma once

#include <optional>

#include "algos/verify.hpp"

namespace tutti::algos::verify {

/// Buffers of one rank as nccl.h describes them, in elements.
struct Buffers {
  size_t input = 0;  ///< 0: this rank has none
  size_t output = 0;
  bool aliased = false;
  size_t inputAt = 0;  ///< aliased: where each lies in the larger one
  size_t outputAt = 0;
};

/// `counts` as in VerifyOptions.
Buffers buffersOf(const Plan& plan, const std::vector<size_t>& counts);

/// Where block `block` of `round` lies, like the engine's rule.
Extent extentOf(const Plan& plan, const Lane& lane, const std::vector<size_t>& counts, int64_t round,
                Buffer buffer, int block);
int64_t roundsOf(const Plan& plan, const Lane& lane, const std::vector<size_t>& counts);

/// "rank 3, lane 0, step 2 (recvReduceSend)"
std::string whereIs(const Plan& plan, size_t lane, size_t step);

/// Everything that can be said of the plans without playing them.
Status checkShape(std::span<const Plan> plans, const VerifyOptions& options);

}  // namespace tutti::algos::verify
