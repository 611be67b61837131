#include "common/channels.cuh"
#include "common/failure.hpp"
#include "spin_kernels.hpp"

namespace tutti::gpuperf {
namespace {

__global__ void flagSide(uint32_t* flags, bool starts, uint32_t rounds, uint64_t boundNs,
                         PingPongResult* result) {
  ReleaseAcquireSys there{flags};
  ReleaseAcquireSys back{flags + 1024};
  if (starts)
    pingPong(there, back, true, rounds, boundNs, result);
  else
    pingPong(back, there, false, rounds, boundNs, result);
}

__global__ void seed(uint32_t* words, size_t count, uint32_t first) {
  size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    words[i] = first + static_cast<uint32_t>(i);
}

__global__ void countUnseeded(const uint32_t* words, size_t count, uint32_t first, uint32_t* wrong) {
  size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  uint32_t mine = 0;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    if (words[i] != first + static_cast<uint32_t>(i)) ++mine;
  if (mine != 0) atomicAdd(wrong, mine);
}

__global__ void markSms(uint32_t* smUsed) {
  smUsed[smId()] = 1;
  uint64_t leave = globalTimerNs() + 20000;
  while (globalTimerNs() < leave) {
  }
}

}  // namespace

void launchFlagSide(cudaStream_t stream, uint32_t* flags, bool starts, uint32_t rounds, uint64_t boundNs,
                    PingPongResult* result) {
  flagSide<<<1, 1, 0, stream>>>(flags, starts, rounds, boundNs, result);
  checkLaunch("flagSide");
}

void launchSeed(cudaStream_t stream, uint32_t* words, size_t count, uint32_t first) {
  seed<<<512, 256, 0, stream>>>(words, count, first);
  checkLaunch("seed");
}

void launchCountUnseeded(cudaStream_t stream, const uint32_t* words, size_t count, uint32_t first,
                         uint32_t* wrong) {
  countUnseeded<<<512, 256, 0, stream>>>(words, count, first, wrong);
  checkLaunch("countUnseeded");
}

void launchMarkSms(cudaStream_t stream, int blocks, uint32_t* smUsed) {
  markSms<<<blocks, 32, 0, stream>>>(smUsed);
  checkLaunch("markSms");
}

}  // namespace tutti::gpuperf
