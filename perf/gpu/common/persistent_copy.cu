#include "common/device.cuh"
#include "common/failure.hpp"
#include "common/persistent_copy.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kThreads = 512;
constexpr int kInFlight = 8;  // 16-byte loads of a thread before its first store
constexpr size_t kTile = static_cast<size_t>(kThreads) * kInFlight;
constexpr int kTilesPerLook = 4;  // 256 KiB between two looks at the stop flag

__global__ void __launch_bounds__(kThreads)
    copyUntilStopped(uint4* __restrict__ out, const uint4* __restrict__ in, size_t vectors,
                     PersistentCopyState* state, uint64_t boundNs) {
  __shared__ uint32_t leave;
  uint64_t born = globalTimerNs();
  if (threadIdx.x == 0) {
    atomicMin(&state->firstNs, static_cast<unsigned long long>(born));
    atomicAdd(&state->blocksStarted, 1u);
  }
  size_t tiles = vectors / kTile;
  size_t share = tiles / gridDim.x;  // REQUIRES: at least kTilesPerLook tiles a block; the rest is left out
  size_t first = share * blockIdx.x;
  unsigned long long copied = 0;
  size_t at = 0;
  while (true) {
    for (int t = 0; t < kTilesPerLook; ++t) {
      size_t base = (first + at) * kTile + threadIdx.x;
      uint4 v[kInFlight];
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) v[u] = __ldcs(in + base + u * kThreads);
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) __stcs(out + base + u * kThreads, v[u]);
      at = at + 1 < share ? at + 1 : 0;
    }
    copied += kTilesPerLook * kTile * sizeof(uint4);
    // One thread looks, so that all leave together.
    if (threadIdx.x == 0)
      leave = loadRelaxedGpu(&state->stop) != 0 || globalTimerNs() - born > boundNs ? 1 : 0;
    __syncthreads();
    bool leaving = leave != 0;
    __syncthreads();
    if (leaving) break;
  }
  if (threadIdx.x == 0) {
    atomicAdd(&state->bytesCopied, copied);
    atomicMax(&state->lastNs, static_cast<unsigned long long>(globalTimerNs()));
  }
}

__global__ void resetState(PersistentCopyState* state) {
  state->stop = 0;
  state->blocksStarted = 0;
  state->bytesCopied = 0;
  state->firstNs = ~0ull;
  state->lastNs = 0;
}

}  // namespace

void launchPersistentCopy(cudaStream_t stream, int blocks, bool exclusive, void* out, const void* in,
                          size_t vectors, PersistentCopyState* state, uint64_t boundNs) {
  int device = 0, shared = 0;
  if (exclusive) {
    GPU_CALL(cudaGetDevice(&device));
    GPU_CALL(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    shared -= 2048;  // the kernel has a few bytes of its own
    GPU_CALL(cudaFuncSetAttribute(copyUntilStopped, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  }
  copyUntilStopped<<<blocks, kThreads, shared, stream>>>(
      static_cast<uint4*>(out), static_cast<const uint4*>(in), vectors, state, boundNs);
  checkLaunch("copyUntilStopped");
}

void resetPersistentCopy(cudaStream_t stream, PersistentCopyState* state) {
  resetState<<<1, 1, 0, stream>>>(state);
  checkLaunch("resetState");
}

}  // namespace tutti::gpuperf
