// Shared allocations: what ncclMemAlloc returns. Each is a memfd, so that local peers can map it and read or
// write it in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

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
/// How many have been freed so far: whoever keeps something by an allocation's number looks whether it is
/// time to let go.
uint64_t freedCount();
/// A new descriptor of the allocation's memory.
Result<UniqueFd> duplicateSharedFd(uint32_t allocation);

/// Owns one shared allocation. Movable.
class SharedMemory {
 public:
  SharedMemory() = default;
  static Result<SharedMemory> make(size_t bytes) {
    SharedMemory memory;
    TUTTI_ASSIGN(memory.base_, allocateShared(bytes));
    memory.bytes_ = bytes;
    return memory;
  }
  SharedMemory(SharedMemory&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SharedMemory() {
    if (base_ != nullptr) (void)freeShared(base_);
  }

  std::byte* base() const { return static_cast<std::byte*>(base_); }
  size_t bytes() const { return bytes_; }

 private:
  void* base_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tutti::transport
