#include "common/failure.hpp"
#include "peer_kernels.hpp"

namespace tutti::gpuperf {
namespace {

__device__ int valueOf(size_t i, int rank) {
  return static_cast<int>((i * 3 + rank * 5) % 11);
}

__global__ void fillForRank(float* data, size_t count, int rank) {
  size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    data[i] = static_cast<float>(valueOf(i, rank));
}

__global__ void countNotSummed(const float* data, size_t count, int ranks, unsigned long long* wrong) {
  size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  unsigned long long mine = 0;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    int sum = 0;
    for (int rank = 0; rank < ranks; ++rank) sum += valueOf(i, rank);
    if (!(data[i] == static_cast<float>(sum))) ++mine;
  }
  if (mine != 0) atomicAdd(wrong, mine);
}

}  // namespace

void launchFillForRank(cudaStream_t stream, float* data, size_t count, int rank) {
  fillForRank<<<512, 256, 0, stream>>>(data, count, rank);
  checkLaunch("fillForRank");
}

void launchCountNotSummed(cudaStream_t stream, const float* data, size_t count, int ranks,
                          unsigned long long* wrong) {
  countNotSummed<<<512, 256, 0, stream>>>(data, count, ranks, wrong);
  checkLaunch("countNotSummed");
}

}  // namespace tutti::gpuperf
