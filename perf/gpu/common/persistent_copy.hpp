#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

// A copy that holds a chosen number of SMs for a chosen time: the traffic a collective would make beside
// other work.
namespace tutti::gpuperf {

// Written by the kernel; zeroed by the host before the launch.
struct PersistentCopyState {
  uint32_t stop;  // set by the host (or a memset in a stream): every block leaves after its current slice
  uint32_t blocksStarted;
  unsigned long long bytesCopied;  // payload: read once and written once
  unsigned long long firstNs;      // earliest start, ~0 before
  unsigned long long lastNs;       // latest end
};

// Enqueues the copy of slices of `in` to the same place of `out`, again and again, until `stop` is set or
// `boundNs` has passed; every block walks its own part, so traffic does not stay in L2 when the buffers are
// larger. With `exclusive` each block asks for almost all shared memory of its SM, so that no other large
// block joins it there. REQUIRES: *state is device memory, reset before; vectors of 16 bytes, at least blocks
// * 4096 of them.
void launchPersistentCopy(cudaStream_t stream, int blocks, bool exclusive, void* out, const void* in,
                          size_t vectors, PersistentCopyState* state, uint64_t boundNs);

// Enqueues the zeroing of *state.
void resetPersistentCopy(cudaStream_t stream, PersistentCopyState* state);

}  // namespace tutti::gpuperf
