// Shared allocations: what ncclMemAlloc returns. Each is a memfd, so that local peers can map it and read or
// write it in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/result.hpp"
#include "core/unique_fd.hpp"

namespace tutti::transport {

/// Where a pointer lies in a shared allocation of this process.
struct SharedSpot {
  uint32_t allocation = 0;  ///< number of the allocation, never 0, never used twice in a process
  uint64_t offset = 0;
  size_t allocationBytes = 0;
};

/// `bytes` of zeroed shared memory, page-aligned. Thread safety: all functions here are safe from any thread.
Result<void*> allocateShared(size_t bytes);
/// An error if `pointer` was not returned by allocateShared or has been freed.
Status freeShared(void* pointer);
/// Where [pointer, pointer+bytes) lies, if it lies wholly in one shared allocation.
std::optional<SharedSpot> findShared(const void* pointer, size_t bytes);
/// The start of an allocation of this process, or null if it has been freed.
void* sharedBase(uint32_t allocation);
/// A new descriptor of the allocation's memory.
Result<UniqueFd> duplicateSharedFd(uint32_t allocation);

}  // namespace tutti::transport
