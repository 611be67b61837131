#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace tutti::gpuperf {

// Whole numbers by position and rank, and how many elements are not their sum over `ranks` ranks.
void launchFillForRank(cudaStream_t stream, float* data, size_t count, int rank);
void launchCountNotSummed(cudaStream_t stream, const float* data, size_t count, int ranks,
                          unsigned long long* wrong);

}  // namespace tutti::gpuperf
