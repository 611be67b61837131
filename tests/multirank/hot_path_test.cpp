// What a call costs besides time: no memory, no system call that is not a wait; and nothing grows.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <new>
#include <vector>

#include "ranks.hpp"

namespace {
thread_local uint64_t tAllocations = 0;  // of the calling thread: the service thread may have to probe
}

// The library takes its operator new from here, too.
void* operator new(size_t bytes) {
  ++tAllocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) {
  return ::operator new(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}

namespace {

/// Bytes of this process that are in memory, but for what it shares.
size_t privateBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t whole = 0, resident = 0, shared = 0;
  statm >> whole >> resident >> shared;
  return (resident - shared) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

struct Buffers {
  std::vector<float> in, out;
  explicit Buffers(size_t count, int n) : in(count * static_cast<size_t>(n), 1.0f), out(in.size()) {}
};

std::string callAll(ncclComm_t comm, Buffers& b, size_t count) {
  const float* in = b.in.data();
  float* out = b.out.data();
  RANK_TRY(ncclAllReduce(in, out, count, ncclFloat32, ncclSum, comm, nullptr));
  RANK_TRY(ncclReduceScatter(in, out, count, ncclFloat32, ncclSum, comm, nullptr));
  RANK_TRY(ncclAllGather(in, out, count, ncclFloat32, comm, nullptr));
  RANK_TRY(ncclBroadcast(in, out, count, ncclFloat32, 0, comm, nullptr));
  RANK_TRY(ncclReduce(in, out, count, ncclFloat32, ncclSum, 0, comm, nullptr));
  RANK_TRY(ncclAlltoAll(in, out, count, ncclFloat32, comm, nullptr));
  return "";
}

/// Once each size has been called, calls allocate nothing: neither small nor large, shared nor private.
std::string allocateNothing(int, int n, ncclComm_t comm) {
  const size_t counts[] = {2, 1000, 3000, 100'000};
  Buffers b(100'000, n);
  auto round = [&]() -> std::string {
    for (size_t count : counts) {
      if (std::string wrong = callAll(comm, b, count); !wrong.empty()) return wrong;
    }
    return "";
  };
  const uint64_t start = tAllocations;
  for (int i = 0; i < 5; ++i) {
    if (std::string wrong = round(); !wrong.empty()) return wrong;
  }
  if (tAllocations == start) return "the library's allocations are not seen here";
  const uint64_t before = tAllocations;
  for (int i = 0; i < 50; ++i) {
    if (std::string wrong = round(); !wrong.empty()) return wrong;
  }
  const uint64_t made = tAllocations - before;
  return made == 0 ? "" : std::to_string(made) + " allocations in 1200 calls";
}

std::string growNothing(int rank, int n, ncclComm_t comm) {
  Buffers b(64, n);
  for (int i = 0; i < 1000; ++i)
    RANK_TRY(ncclAllReduce(b.in.data(), b.out.data(), 2, ncclFloat32, ncclSum, comm, nullptr));
  const size_t before = privateBytes();
  for (int i = 0; i < 200'000; ++i)
    RANK_TRY(ncclAllReduce(b.in.data(), b.out.data(), 2, ncclFloat32, ncclSum, comm, nullptr));
  const size_t after = privateBytes();
  if (after > before + (256 << 10)) {
    return "rank " + std::to_string(rank) + " grew by " + std::to_string(after - before) + " bytes";
  }
  return "";
}

TEST(HotPath, AllocatesNothing) {
  EXPECT_EQ(ranks::asProcesses(2, allocateNothing), "");
  EXPECT_EQ(ranks::asProcesses(3, allocateNothing), "");
}

TEST(HotPath, NothingGrows) {
  EXPECT_EQ(ranks::asProcesses(2, growNothing), "");
}

}  // namespace
