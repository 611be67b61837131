#include "common/device.cuh"
#include "common/failure.hpp"
#include "hold_sms.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kThreads = 512;

__global__ void __launch_bounds__(kThreads) holdSm(uint32_t* arrived, uint32_t* hostFlag, uint64_t ns) {
  uint64_t leave = globalTimerNs() + ns;
  if (threadIdx.x == 0 && atomicAdd(arrived, 1u) == gridDim.x - 1) storeReleaseSys(hostFlag, 1);
  // Sleeping threads keep their slots.
  while (globalTimerNs() < leave) __nanosleep(1000);
}

}  // namespace

void launchHoldAllSms(cudaStream_t stream, int smCount, uint32_t* device, uint32_t* hostFlag, uint64_t ns) {
  int perSm = 0;
  GPU_CALL(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&perSm, holdSm, kThreads, 0));
  holdSm<<<smCount * perSm, kThreads, 0, stream>>>(device, hostFlag, ns);
  checkLaunch("holdSm");
}

}  // namespace tutti::gpuperf
