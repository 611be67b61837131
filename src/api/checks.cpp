#include "api/checks.hpp"

#include <sys/mman.h>

#include "core/param.hpp"

namespace tutti::api {

std::atomic<bool> gCheckPointers{false};

void readCheckSettings() {
  gCheckPointers.store(params::getBool("NCCL_CHECK_POINTERS"), std::memory_order_relaxed);
}

Status checkMapped(const char* name, const void* buffer, size_t bytes) {
  constexpr uintptr_t kPage = 4096;
  if (bytes == 0) return {};
  const uintptr_t begin = reinterpret_cast<uintptr_t>(buffer) / kPage * kPage;
  const uintptr_t end = reinterpret_cast<uintptr_t>(buffer) + bytes;
  // Does nothing on Linux but say ENOMEM where a page is not mapped.
  if (end > begin && msync(reinterpret_cast<void*>(begin), end - begin, MS_ASYNC) == 0) return {};
  return makeError(Code::InvalidArgument,
                   "{} {} of {} bytes is not all mapped memory (NCCL_CHECK_POINTERS=1)", name, buffer, bytes);
}

Error badType(int type) {
  return makeError(Code::InvalidArgument,
                   "datatype {} does not exist: there are 0 (ncclInt8) to {} (ncclFloat8e5m2)", type,
                   kDataTypeCount - 1);
}

Error badOp(int op) {
  return makeError(
      Code::InvalidArgument,
      "op {} does not exist: there are 0 (ncclSum) to {} (ncclAvg) and what ncclRedOpCreatePreMulSum gave",
      op, comm::kFirstCustomOp - 1);
}

Error badRank(const char* what, int rank, int nRanks) {
  return makeError(Code::InvalidArgument, "{} {} is not a rank: the communicator has ranks 0 to {}", what,
                   rank, nRanks - 1);
}

Error tooLarge(size_t count, DataType type, size_t blocks) {
  if (blocks == 1) {
    return makeError(Code::InvalidArgument, "count {} of {} is 2^63 bytes or more", count, nameOf(type));
  }
  return makeError(Code::InvalidArgument, "count {} of {} for each of {} ranks is 2^63 bytes or more", count,
                   nameOf(type), blocks);
}

}  // namespace tutti::api
