#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tutti::gpuperf {

// Enqueues a kernel that takes every thread slot of every SM for `ns`, so that nothing which needs an SM can
// start. *device must be zero; *hostFlag (host-mapped, given by its device address) becomes 1 once all blocks
// hold their place.
void launchHoldAllSms(cudaStream_t stream, int smCount, uint32_t* device, uint32_t* hostFlag, uint64_t ns);

}  // namespace tutti::gpuperf
