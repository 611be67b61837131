#include "transport/doorbell.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "core/futex.hpp"

namespace tutti::transport {
namespace {

constexpr int64_t kBlindSleepNs = 1'000'000;

std::atomic<bool> gHasMembarrier{false};

int membarrier(int command) {
  return static_cast<int>(syscall(SYS_membarrier, command, 0, 0));
}

}  // namespace

void registerDoorbells() {
  static std::once_flag once;
  std::call_once(once, [] {
    int supported = membarrier(MEMBARRIER_CMD_QUERY);
    bool good = supported > 0 && (supported & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0 &&
                membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
    gHasMembarrier.store(good, std::memory_order_release);
  });
}

void ringSlow(Doorbell& bell) {
  // Whoever clears `sleeping` wakes: several publishers at once make one system call.
  if (bell.sleeping.exchange(0, std::memory_order_acq_rel) == 0) return;
  bell.word.fetch_add(1, std::memory_order_release);
  if (bell.eventFdPlusOne > 0) {
    uint64_t one = 1;
    (void)!write(bell.eventFdPlusOne - 1, &one, sizeof(one));  // a full counter is a rung bell too
    return;
  }
  futexWake(&bell.word, 1);
}

uint32_t prepareSleep(Doorbell& bell) {
  uint32_t ticket = bell.word.load(std::memory_order_acquire);
  bell.sleeping.store(1, std::memory_order_seq_cst);
  if (gHasMembarrier.load(std::memory_order_relaxed)) membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
  return ticket;
}

void sleep(Doorbell& bell, uint32_t ticket, int64_t timeoutNs) {
  if (!gHasMembarrier.load(std::memory_order_relaxed)) timeoutNs = std::min(timeoutNs, kBlindSleepNs);
  futexWait(&bell.word, ticket, timeoutNs);
  cancelSleep(bell);
}

}  // namespace tutti::transport
