#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "common/channels.hpp"

// Launchers of what gpu_sharing runs in several processes, streams and contexts.
namespace tutti::gpuperf {

// One block plays one side of a ping-pong over two flags (4 KiB apart) at sys scope.
void launchFlagSide(cudaStream_t stream, uint32_t* flags, bool starts, uint32_t rounds, uint64_t boundNs,
                    PingPongResult* result);

// Sets words[i] = seed + i; counts into *wrong where it is not so.
void launchSeed(cudaStream_t stream, uint32_t* words, size_t count, uint32_t seed);
void launchCountUnseeded(cudaStream_t stream, const uint32_t* words, size_t count, uint32_t seed,
                         uint32_t* wrong);

// Marks smUsed[sm] = 1 for every SM that ran one of `blocks` blocks, each of which stays about 20
// microseconds.
void launchMarkSms(cudaStream_t stream, int blocks, uint32_t* smUsed);

}  // namespace tutti::gpuperf
