#include "topology/core_latency.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "core/clock.hpp"

namespace tutti::topology {
namespace {

constexpr int kTripsPerRound = 200;

bool pinTo(int cpu) {
  int count = std::max(CPU_SETSIZE, cpu + 1);
  cpu_set_t* set = CPU_ALLOC(count);
  if (!set) return false;
  CPU_ZERO_S(CPU_ALLOC_SIZE(count), set);
  CPU_SET_S(cpu, CPU_ALLOC_SIZE(count), set);
  bool ok = pthread_setaffinity_np(pthread_self(), CPU_ALLOC_SIZE(count), set) == 0;
  CPU_FREE(set);
  return ok;
}

struct alignas(128) Flag {
  std::atomic<int> value{0};
};

/// Spins until `flag` is `wanted`; yields now and then, because the cores may be shared. False after the
/// deadline or a stop. SYNC POINT: acquire pairs with the other thread's release store of the same flag;
/// nothing but the flag itself is passed on.
bool await(const std::atomic<int>& flag, int wanted, const Deadline& deadline,
           const std::atomic<bool>& stop) {
  for (int spin = 1; flag.load(std::memory_order_acquire) != wanted; ++spin) {
    if (spin % 4096 != 0) continue;
    if (stop.load(std::memory_order_relaxed) || deadline.expired())
      return false;  // relaxed: only ends the wait
    sched_yield();
  }
  return true;
}

}  // namespace

Result<CoreLatency> measureCoreLatency(int cpuA, int cpuB, int budgetMs) {
  Flag ping;
  Flag pong;
  std::atomic<bool> stop{false};
  std::atomic<bool> pinned{true};
  const Deadline deadline = Deadline::afterMs(1000);
  std::vector<double> rounds;
  std::thread answer([&] {
    if (!pinTo(cpuB)) pinned = false;
    for (int trip = 1; await(ping.value, trip, deadline, stop); ++trip)
      pong.value.store(trip, std::memory_order_release);
  });
  bool answered = true;
  std::thread ask([&] {
    if (!pinTo(cpuA)) pinned = false;
    const int64_t end = nowNs() + static_cast<int64_t>(budgetMs) * 1'000'000;
    int trip = 0;
    while (answered && (rounds.size() < 4 || nowNs() < end)) {
      int64_t start = nowNs();
      for (int i = 0; i < kTripsPerRound && answered; ++i) {
        ping.value.store(++trip, std::memory_order_release);
        answered = await(pong.value, trip, deadline, stop);
      }
      if (answered) rounds.push_back(static_cast<double>(nowNs() - start) / (2.0 * kTripsPerRound));
    }
    stop = true;
  });
  ask.join();
  answer.join();
  if (!pinned) return makeError(Code::SystemError, "a thread cannot be pinned to CPU {} or {}", cpuA, cpuB);
  if (!answered || rounds.empty())
    return makeError(Code::Timeout,
                     "CPU {} does not answer CPU {} within a second: the machine is overloaded", cpuB, cpuA);
  std::nth_element(rounds.begin(), rounds.begin() + static_cast<ptrdiff_t>(rounds.size() / 2), rounds.end());
  return CoreLatency{cpuA, cpuB, rounds[rounds.size() / 2]};
}

Result<std::vector<CoreLatency>> measureCoreLatencies(const std::vector<int>& cpus, int maxPairs,
                                                      int budgetMs) {
  std::vector<CoreLatency> measured;
  for (size_t b = 1; b < cpus.size(); ++b)
    for (size_t a = 0; a < b && static_cast<int>(measured.size()) < maxPairs; ++a) {
      TUTTI_ASSIGN(CoreLatency l, measureCoreLatency(cpus[a], cpus[b], budgetMs));
      measured.push_back(l);
    }
  return measured;
}

}  // namespace tutti::topology
