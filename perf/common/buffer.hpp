// One rank's send or receive buffer, with room for guards around it.
#pragma once

#include <nccl.h>

#include <cstddef>

#include "core/result.hpp"

namespace tutti::perf {

/// Memory of one rank: malloc'd and touched, or from ncclMemAlloc; perhaps registered with its communicator.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() = default;  // free() frees: a failing program ends without it

  /// `registration`: as -R. Every page is touched by the caller.
  Status allocate(size_t bytes, int registration);
  /// Nothing to do with -R 0. With -R 2 collective over the communicator; may be called inside a group.
  Status enlist(ncclComm_t comm);
  /// Undoes enlist(); collective where that is.
  Status delist(ncclComm_t comm);
  Status free();

  /// Page-aligned; guard bytes fit before it and after `bytes`.
  unsigned char* data() const { return base_ ? base_ + kFront : nullptr; }

 private:
  static constexpr size_t kFront = 4096;
  static constexpr size_t kBack = 4096;

  unsigned char* base_ = nullptr;
  size_t total_ = 0;
  int registration_ = 0;
  void* handle_ = nullptr;         // -R 1
  ncclWindow_t window_ = nullptr;  // -R 2
};

}  // namespace tutti::perf
