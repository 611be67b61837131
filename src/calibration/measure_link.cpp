// What needs two threads: hand-over and stores between two cores, a switch on one core.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "calibration/measure.hpp"
#include "calibration/rounds.hpp"
#include "core/clock.hpp"
#include "kernels/host/reduce.hpp"
#include "topology/host_cores.hpp"

namespace tutti::calibration {
namespace {

constexpr size_t kSlotBytes = 32 << 10;
constexpr uint32_t kSlots = 2;
constexpr int64_t kHoldOnNs = 2'000'000;
constexpr int kTripsPerRound = 32;
constexpr int kHandoverRounds = 24;
constexpr int kSlotsPerRound = 8;
constexpr int kStoreRounds = 5;
constexpr int kSwitchesPerRound = 16;
constexpr int kSwitchRounds = 20;

bool pinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0;
}

struct alignas(128) Counter {
  std::atomic<uint32_t> value{0};
};

/// What the two threads share. SYNC POINT: each counter is stored by one thread (release) and awaited by the
/// other (acquire); what a slot holds is published by `ping`, and given back by `pong`.
struct Shared {
  Counter ping, pong;
  std::atomic<bool> stop{false};  ///< relaxed: only ends waits
  std::atomic<bool> pinned{true};
  int64_t deadlineNs = 0;
  alignas(4096) std::byte slots[kSlots][kSlotBytes];
  alignas(4096) std::byte from[kSlotBytes];
  alignas(4096) std::byte to[kSlotBytes];

  /// Waits until `counter` is at least `wanted`. Between cores, who gives its core to other work because the
  /// partner had to is away when the partner is back: so it holds on for a good part of a time slice.
  /// `yields`: both threads are on one core.
  bool await(const Counter& counter, uint32_t wanted, bool yields = false) {
    int64_t startNs = 0;
    for (uint32_t spins = 1; static_cast<int32_t>(counter.value.load(std::memory_order_acquire) - wanted) < 0;
         ++spins) {
      if (!yields && spins % 1024 != 0) continue;
      const int64_t now = nowNs();
      if (stop.load(std::memory_order_relaxed) || now >= deadlineNs) return false;
      if (startNs == 0) startNs = now;
      if (!yields && now - startNs < kHoldOnNs) continue;
      sched_yield();
      startNs = 0;
    }
    return true;
  }
};

/// Starts two threads without signals and joins them.
template <typename Ask, typename Answer>
void runBoth(Shared& shared, int cpuA, int cpuB, const Ask& ask, const Answer& answer) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread second([&] {
    if (!pinTo(cpuB)) shared.pinned = false;
    answer();
  });
  std::thread first([&] {
    if (!pinTo(cpuA)) shared.pinned = false;
    ask();
    shared.stop = true;
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  first.join();
  second.join();
}

/// The time that the writer needs for a slot, over a round.
bool storeRounds(Shared& s, uint32_t& sent, bool streams, Rounds& rounds) {
  for (int r = 0; r < kStoreRounds; ++r) {
    const int64_t start = nowNs();
    for (int i = 0; i < kSlotsPerRound; ++i) {
      if (!s.await(s.pong, sent + 1 - kSlots)) return false;
      std::byte* slot = s.slots[sent % kSlots];
      if (streams) {
        kernels::copyStreaming(slot, s.from, kSlotBytes);
        kernels::streamFence();
      } else {
        kernels::copy(slot, s.from, kSlotBytes);
      }
      s.ping.value.store(++sent, std::memory_order_release);
    }
    if (!s.await(s.pong, sent)) return false;
    rounds.add(static_cast<double>(nowNs() - start) / kSlotsPerRound);
  }
  return true;
}

Error notPinned(int a, int b) {
  return makeError(Code::SystemError, "a thread cannot run on CPU {} or {}", a, b);
}

}  // namespace

Result<Link> measureLink(int cpuA, int cpuB, int64_t budgetUs) {
  auto shared = std::make_unique<Shared>();
  Shared& s = *shared;
  s.deadlineNs = nowNs() + budgetUs * 1000;
  std::memset(s.from, 1, sizeof(s.from));
  std::memset(s.to, 1, sizeof(s.to));
  std::memset(s.slots, 1, sizeof(s.slots));
  constexpr uint32_t kTrips = kTripsPerRound * kHandoverRounds;
  Rounds handover, plain, streaming;
  auto ask = [&] {
    uint32_t trip = 0;
    for (int r = 0; r < kHandoverRounds; ++r) {
      const int64_t start = nowNs();
      for (int i = 0; i < kTripsPerRound; ++i) {
        s.ping.value.store(++trip, std::memory_order_release);
        if (!s.await(s.pong, trip)) return;
      }
      handover.add(static_cast<double>(nowNs() - start) / (2.0 * kTripsPerRound));
    }
    uint32_t sent = kTrips;
    if (storeRounds(s, sent, false, plain)) storeRounds(s, sent, true, streaming);
  };
  auto answer = [&] {
    for (uint32_t trip = 1; trip <= kTrips; ++trip) {
      if (!s.await(s.ping, trip)) return;
      s.pong.value.store(trip, std::memory_order_release);
    }
    for (uint32_t got = kTrips; s.await(s.ping, got + 1);) {
      kernels::copy(s.to, s.slots[got % kSlots], kSlotBytes);
      s.pong.value.store(++got, std::memory_order_release);
    }
  };
  runBoth(s, cpuA, cpuB, ask, answer);
  if (!s.pinned) return notPinned(cpuA, cpuB);
  Link link;
  TUTTI_ASSIGN(link.oneWayNs, handover.value("hand-over between cores", 1.5));
  TUTTI_ASSIGN(const double plainNs, plain.value("plain stores between cores", 2));
  TUTTI_ASSIGN(const double streamNs, streaming.value("non-temporal stores between cores", 2));
  link.plainGBps = kSlotBytes / plainNs;
  link.streamGBps = kSlotBytes / streamNs;
  return link;
}

Result<double> measureSwitch(int cpu, int64_t budgetUs) {
  auto shared = std::make_unique<Shared>();
  Shared& s = *shared;
  s.deadlineNs = nowNs() + budgetUs * 1000;
  Rounds rounds;
  auto ask = [&] {
    uint32_t trip = 0;
    for (int r = 0; r < kSwitchRounds; ++r) {
      const int64_t start = nowNs();
      for (int i = 0; i < kSwitchesPerRound; ++i) {
        s.ping.value.store(++trip, std::memory_order_release);
        if (!s.await(s.pong, trip, true)) return;
      }
      rounds.add(static_cast<double>(nowNs() - start) / (2.0 * kSwitchesPerRound));
    }
  };
  auto answer = [&] {
    for (uint32_t trip = 1; s.await(s.ping, trip, true); ++trip)
      s.pong.value.store(trip, std::memory_order_release);
  };
  runBoth(s, cpu, cpu, ask, answer);
  if (!s.pinned) return notPinned(cpu, cpu);
  TUTTI_ASSIGN(const double ns, rounds.value("a yield to another thread", 1.5));
  return ns / 1000;
}

int neighbourOf(int cpu) {
  const topology::HostCores allowed = topology::probeHostCores();
  auto nearest = [cpu](const topology::HostCores& cores) {
    const topology::HostCore* own = cores.find(cpu);
    const topology::HostCore* best = nullptr;
    auto distance = [&](const topology::HostCore& c) {
      const int d = own == nullptr ? 3 : topology::HostCores::distance(*own, c);
      return d == 1 ? 10 : d;  // threads of one core are no example of two cores
    };
    for (const topology::HostCore& c : cores.cores)
      if (c.cpu != cpu && (best == nullptr || distance(c) < distance(*best))) best = &c;
    return best == nullptr ? -1 : best->cpu;
  };
  const int found = nearest(allowed);
  return found >= 0 ? found : nearest(topology::probeHostCores("", {}));
}

}  // namespace tutti::calibration
