#include "buffer.hpp"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "library.hpp"

namespace tutti::perf {
namespace {

Error lacks(const char* option, const char* call) {
  return makeError(Code::InvalidUsage, "{}: this libnccl.so.2 has no {}", option, call);
}

}  // namespace

Status Buffer::allocate(size_t bytes, int registration) {
  registration_ = registration;
  total_ = kFront + bytes + kBack;
  void* memory = nullptr;
  if (registration == 2) {
    if (!library().memAlloc || !library().windowRegister)
      return lacks("-R 2", "ncclMemAlloc or ncclCommWindowRegister");
    TUTTI_TRY(check(library().memAlloc(&memory, total_), "ncclMemAlloc"));
  } else if (posix_memalign(&memory, 4096, total_) != 0) {
    return makeError(Code::SystemError,
                     "no memory for a buffer of {} bytes: ask for a smaller -e (--maxbytes)", bytes);
  }
  base_ = static_cast<unsigned char*>(memory);
  std::memset(base_, 0, total_);
  return {};
}

Status Buffer::enlist(ncclComm_t comm) {
  if (registration_ == 1) {
    if (!library().commRegister) return lacks("-R 1", "ncclCommRegister");
    return check(library().commRegister(comm, base_, total_, &handle_), "ncclCommRegister", comm);
  }
  if (registration_ == 2) {
    return check(library().windowRegister(comm, base_, total_, &window_, NCCL_WIN_COLL_SYMMETRIC),
                 "ncclCommWindowRegister", comm);
  }
  return {};
}

Status Buffer::delist(ncclComm_t comm) {
  if (handle_) TUTTI_TRY(check(library().commDeregister(comm, handle_), "ncclCommDeregister", comm));
  if (window_) TUTTI_TRY(check(library().windowDeregister(comm, window_), "ncclCommWindowDeregister", comm));
  handle_ = nullptr;
  window_ = nullptr;
  return {};
}

Status Buffer::free() {
  void* memory = std::exchange(base_, nullptr);
  if (memory && registration_ == 2) return check(library().memFree(memory), "ncclMemFree");
  std::free(memory);
  return {};
}

}  // namespace tutti::perf
