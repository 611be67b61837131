#include "api/handle_table.hpp"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace tutti::api {
namespace {

long membarrier(int command) {
  return syscall(SYS_membarrier, command, 0, 0);
}

}  // namespace

std::atomic<bool> gLightBarrierFences{true};

void prepareAsymmetricBarrier() {
  if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0) {
    gLightBarrierFences.store(false, std::memory_order_relaxed);
  }
}

void asymmetricHeavyBarrier() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!gLightBarrierFences.load(std::memory_order_relaxed)) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void sleepMicroseconds(int us) {
  timespec time{0, us * 1000L};
  nanosleep(&time, nullptr);
}

uintptr_t reserveAddresses(size_t bytes) {
  void* start = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return start == MAP_FAILED ? 0 : reinterpret_cast<uintptr_t>(start);
}

}  // namespace tutti::api
