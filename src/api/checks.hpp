// Argument checks that several calls share. The tests are inline and cost a compare each; the words are out
// of the way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "api/guard.hpp"
#include "core/dtype.hpp"

namespace tutti::api {

Error badType(int type);
Error badOp(int op);
Error badRank(const char* what, int rank, int nRanks);
Error tooLarge(size_t count, DataType type, size_t blocks);

/// NCCL_CHECK_POINTERS, as read when the last communicator was made or the settings were reloaded.
extern std::atomic<bool> gCheckPointers;
void readCheckSettings();
/// REQUIRES gCheckPointers. An error if part of the buffer is not mapped memory.
Status checkMapped(const char* name, const void* buffer, size_t bytes);
inline bool checksPointers() {
  return gCheckPointers.load(
      std::memory_order_relaxed);  // relaxed: a setting, nothing hangs on when it is seen
}

/// Reads a value that may not be one of its enumerators.
template <typename Enum>
int rawValue(const Enum& value) {
  static_assert(sizeof(Enum) == sizeof(int));
  int raw;
  __builtin_memcpy(&raw, &value, sizeof(raw));
  return raw;
}

/// REQUIRES that the type was checked.
inline DataType typeOf(ncclDataType_t type) {
  return static_cast<DataType>(rawValue(type));
}

inline bool isType(int type) {
  return static_cast<unsigned>(type) < static_cast<unsigned>(kDataTypeCount);
}
/// Built-in, or what a custom operator's handle may look like.
inline bool isOp(int op) {
  return op >= 0;
}
inline bool isRank(int rank, int nRanks) {
  return static_cast<unsigned>(rank) < static_cast<unsigned>(nRanks);
}

/// True where blocks * count elements are fewer than 2^63 bytes.
inline bool fits(size_t count, DataType type, size_t blocks) {
  uint64_t bytes;
  if (__builtin_mul_overflow(static_cast<uint64_t>(count), sizeOf(type), &bytes)) return false;
  if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(blocks), &bytes)) return false;
  return bytes <= static_cast<uint64_t>(INT64_MAX);
}

}  // namespace tutti::api
