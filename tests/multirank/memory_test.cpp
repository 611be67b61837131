// Buffers from ncclMemAlloc, windows, and one-sided calls, between threads and between processes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ops::Operation;
using ops::Part;

/// Every collective on shared buffers around the sizes where direct access begins, in and out of place,
/// several times on the same buffers.
std::string collectives(int rank, int n, ncclComm_t comm) {
  for (ops::Kind kind : ops::kCollectives) {
    for (size_t count : {size_t{100}, size_t{1024}, size_t{1025}, size_t{30'000}, size_t{262'144}}) {
      if (count > 100'000 && kind != ops::Kind::AllReduce && kind != ops::Kind::Broadcast) continue;
      for (bool inPlace : {false, true}) {
        if (inPlace && kind == ops::Kind::AlltoAll) continue;
        Operation o;
        o.kind = kind;
        o.count = count;
        o.root = static_cast<int>(count % static_cast<size_t>(n));
        o.inPlace = inPlace;
        // One rank's buffer is private: the others must not take it for shared.
        const bool oneIsPrivate = count == 1025 && rank == n - 1;
        Part part(o, rank, n, oneIsPrivate ? ops::MemoryKind::Private : ops::MemoryKind::Shared);
        for (int turn = 0; turn < 2; ++turn) {
          part.fill();
          RANK_TRY(part.issue(comm));
          if (std::string wrong = part.check(); !wrong.empty()) return wrong;
        }
      }
    }
  }
  return "";
}

/// The input may be written as soon as the call returns; peers that are slow must not see that.
std::string overwriteAtOnce(int rank, int n, ncclComm_t comm) {
  for (ops::Kind kind : ops::kCollectives) {
    Operation o;
    o.kind = kind;
    o.count = 20'000;
    o.root = n - 1;
    Part part(o, rank, n, ops::MemoryKind::Shared);
    for (int turn = 0; turn < 3; ++turn) {
      part.fill();
      RANK_TRY(part.issue(comm));
      std::memset(part.send(), 0x7f, 1000);
      if (std::string wrong = part.check(); !wrong.empty()) return "after overwriting, " + wrong;
    }
  }
  return "";
}

/// Collectives inside a window that was registered once, at offsets.
std::string insideAWindow(int rank, int n, ncclComm_t comm) {
  constexpr size_t kBytes = size_t{1} << 20;
  constexpr size_t kCount = 20'000;
  void* memory = nullptr;
  RANK_TRY(ncclMemAlloc(&memory, kBytes));
  ncclWindow_t window = nullptr;
  RANK_TRY(ncclCommWindowRegister(comm, memory, kBytes, &window, NCCL_WIN_COLL_SYMMETRIC));
  auto* in = static_cast<float*>(memory) + 7;
  float* out = in + 100'001;
  const int ranksSum = n * (n - 1) / 2;
  for (int turn = 0; turn < 4; ++turn) {
    for (size_t i = 0; i < kCount; ++i) in[i] = static_cast<float>(rank + turn) + static_cast<float>(i % 9);
    RANK_TRY(ncclAllReduce(in, out, kCount, ncclFloat32, ncclSum, comm, nullptr));
    for (size_t i = 0; i < kCount; ++i) {
      const float want =
          static_cast<float>(ranksSum + n * turn) + static_cast<float>(n) * static_cast<float>(i % 9);
      if (out[i] != want) return "element " + std::to_string(i) + " is wrong";
    }
  }
  void* pointer = nullptr;
  RANK_TRY(ncclWinGetUserPtr(comm, window, &pointer));
  if (pointer != memory) return "the window lies elsewhere";
  RANK_TRY(ncclCommWindowDeregister(comm, window));
  RANK_TRY(ncclMemFree(memory));
  return "";
}

/// Each rank puts a block to each rank, `turns` times; the receiver sees the data once the signal is there.
std::string putAndSignal(int rank, int n, ncclComm_t comm) {
  constexpr size_t kCount = 3000;
  const size_t bytes = kCount * sizeof(int) * static_cast<size_t>(n);
  void* memory = nullptr;
  RANK_TRY(ncclMemAlloc(&memory, bytes));
  auto* received = static_cast<int*>(memory);
  ncclWindow_t window = nullptr;
  RANK_TRY(ncclCommWindowRegister(comm, memory, bytes, &window, NCCL_WIN_DEFAULT));
  std::vector<int> mine(kCount);
  std::vector<ncclWaitSignalDesc_t> waits;
  for (int peer = 0; peer < n; ++peer) waits.push_back({1, peer, 3, 0});
  for (int turn = 0; turn < 20; ++turn) {
    for (int peer = 0; peer < n; ++peer) {
      for (size_t i = 0; i < kCount; ++i) mine[i] = rank * 1000 + peer * 100 + turn + static_cast<int>(i);
      RANK_TRY(ncclPutSignal(mine.data(), kCount, ncclInt32, peer, window,
                             static_cast<size_t>(rank) * kCount * sizeof(int), 3, 0, 0, comm, nullptr));
    }
    RANK_TRY(ncclWaitSignal(n, waits.data(), comm, nullptr));
    for (int peer = 0; peer < n; ++peer) {
      for (size_t i = 0; i < kCount; ++i) {
        if (received[static_cast<size_t>(peer) * kCount + i] !=
            peer * 1000 + rank * 100 + turn + static_cast<int>(i))
          return "turn " + std::to_string(turn) + ", from rank " + std::to_string(peer) + ": wrong data";
      }
    }
    // Tell everybody that the window may be written again.
    for (int peer = 0; peer < n; ++peer) RANK_TRY(ncclSignal(peer, 0, 0, 0, comm, nullptr));
    std::vector<ncclWaitSignalDesc_t> again = waits;
    for (auto& wait : again) wait.sigIdx = 0;
    RANK_TRY(ncclWaitSignal(n, again.data(), comm, nullptr));
  }
  if (ncclPutSignal(mine.data(), kCount, ncclInt32, 0, window, bytes - 4, 3, 0, 0, comm, nullptr) !=
      ncclInvalidArgument)
    return "a put beyond the window was taken";
  RANK_TRY(ncclCommWindowDeregister(comm, window));
  float value = 1;
  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
  RANK_TRY(ncclMemFree(memory));
  return "";
}

/// Several signals, taken in other portions than they were raised in; and in one group with the wait.
std::string countSignals(int rank, int n, ncclComm_t comm) {
  const int next = (rank + 1) % n;
  const int prev = (rank + n - 1) % n;
  for (int i = 0; i < 6; ++i) RANK_TRY(ncclSignal(next, 5, 0, 0, comm, nullptr));
  for (int portion : {1, 2, 3}) {
    ncclWaitSignalDesc_t wait{portion, prev, 5, 0};
    RANK_TRY(ncclWaitSignal(1, &wait, comm, nullptr));
  }
  ncclWaitSignalDesc_t wait{1, prev, 6, 0};
  RANK_TRY(ncclGroupStart());
  RANK_TRY(ncclWaitSignal(1, &wait, comm, nullptr));
  RANK_TRY(ncclSignal(next, 6, 0, 0, comm, nullptr));
  RANK_TRY(ncclGroupEnd());
  return "";
}

/// Freed and allocated again between calls: what peers have mapped of the old one must not be used.
std::string allocateAnew(int rank, int n, ncclComm_t comm) {
  for (int turn = 0; turn < 10; ++turn) {
    Operation o;
    o.kind = turn % 2 == 0 ? ops::Kind::AllReduce : ops::Kind::AllGather;
    o.count = 9000;
    o.salt = turn;
    Part part(o, rank, n, ops::MemoryKind::Shared);
    RANK_TRY(part.issue(comm));
    if (std::string wrong = part.check(); !wrong.empty()) return wrong;
  }
  return "";
}

int countLines(const char* path) {
  std::ifstream file(path);
  int lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}
int countDescriptors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}
/// Bytes of shared memory that this process has touched and that still exist.
long sharedKiB() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("RssShmem:")) return std::stol(line.substr(9));
  }
  return 0;
}

/// Buffers that come and go leave nothing: no descriptor, no mapping, no memory, here or at the peers.
std::string allocateForever(int rank, int n, ncclComm_t comm) {
  constexpr size_t kCount = 64 * 1024;
  const bool longRun = getenv("TUTTI_TEST_QUICK") == nullptr;
  int descriptors = 0;
  int mappings = 0;
  long kiB = 0;
  void* kept = nullptr;
  RANK_TRY(ncclMemAlloc(&kept, kCount * sizeof(float)));
  for (int turn = 0; turn < (longRun ? 3000 : 300); ++turn) {
    void* in = nullptr;
    RANK_TRY(ncclMemAlloc(&in, kCount * sizeof(float)));
    auto* values = static_cast<float*>(in);
    values[0] = values[kCount - 1] = static_cast<float>(rank + turn);
    RANK_TRY(ncclAllReduce(in, kept, kCount, ncclFloat32, ncclSum, comm, nullptr));
    const int sum = n * (n - 1) / 2 + n * turn;
    for (size_t i : {size_t{0}, kCount - 1}) {
      if (static_cast<float*>(kept)[i] != static_cast<float>(sum))
        return "turn " + std::to_string(turn) + ": wrong sum";
    }
    RANK_TRY(ncclMemFree(in));
    if (turn == 100) {
      descriptors = countDescriptors();
      mappings = countLines("/proc/self/maps");
      kiB = sharedKiB();
    }
  }
  RANK_TRY(ncclMemFree(kept));
  // Peers may be a few turns behind with what they have let go of.
  constexpr int kSlack = 40;
  if (countDescriptors() > descriptors + kSlack)
    return std::to_string(countDescriptors()) + " descriptors after " + std::to_string(descriptors);
  if (countLines("/proc/self/maps") > mappings + kSlack)
    return std::to_string(countLines("/proc/self/maps")) + " mappings after " + std::to_string(mappings);
  if (sharedKiB() > kiB + kSlack * 256)
    return std::to_string(sharedKiB()) + " KiB of shared memory after " + std::to_string(kiB);
  return "";
}

std::string sendShared(int rank, int n, ncclComm_t comm) {
  for (size_t count : {size_t{10}, size_t{2000}, size_t{200'000}}) {
    std::vector<std::unique_ptr<Part>> parts;
    RANK_TRY(ncclGroupStart());
    for (int from = 0; from < n; ++from) {
      Operation o;
      o.kind = ops::Kind::SendRecv;
      o.count = count;
      o.root = from;
      o.to = (from + 1) % n;
      parts.push_back(std::make_unique<Part>(o, rank, n, ops::MemoryKind::Shared));
      RANK_TRY(parts.back()->issue(comm));
    }
    RANK_TRY(ncclGroupEnd());
    for (auto& part : parts) {
      if (std::string wrong = part->check(); !wrong.empty()) return wrong;
    }
  }
  return "";
}

std::string all(int rank, int n, ncclComm_t comm) {
  struct Subject {
    const char* name;
    std::string (*body)(int, int, ncclComm_t);
  };
  const Subject kSubjects[] = {{"collectives", collectives},     {"overwriteAtOnce", overwriteAtOnce},
                               {"insideAWindow", insideAWindow}, {"putAndSignal", putAndSignal},
                               {"countSignals", countSignals},   {"allocateAnew", allocateAnew},
                               {"sendShared", sendShared}};
  for (const Subject& subject : kSubjects) {
    if (std::string text = subject.body(rank, n, comm); !text.empty())
      return std::string(subject.name) + ": " + text;
  }
  return "";
}

// Processes first: a child must come from a parent that has not used the library yet.
uint64_t statOf(ncclComm_t comm, ncclCommMemStat_t stat) {
  uint64_t value = UINT64_MAX;
  return ncclCommMemStats(comm, stat, &value) == ncclSuccess ? value : UINT64_MAX;
}

/// Traffic over boards, FIFOs, LL lines and send/receive; then nothing is held but a few pages of counters,
/// and after Resume everything works as before.
std::string suspended(int rank, int n, ncclComm_t parent) {
  ncclComm_t comm = nullptr;
  RANK_TRY(ncclCommSplit(parent, 0, rank, &comm, nullptr));
  auto work = [&](unsigned seed) -> std::string {
    std::mt19937 random(seed);  // the same on all ranks
    for (int i = 0; i < 30; ++i) {
      const ops::Operation o = ops::randomOperation(random, n, 100'000);
      ops::Part part(o, rank, n, i % 4 == 3 ? ops::MemoryKind::Shared : ops::MemoryKind::Private);
      RANK_TRY(ncclGroupStart());
      RANK_TRY(part.issue(comm));
      RANK_TRY(ncclGroupEnd());
      if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    }
    return "";
  };
  for (unsigned round = 0; round < 4; ++round) {
    if (std::string wrong = work(100 + round); !wrong.empty()) return wrong;
    const uint64_t spare = statOf(comm, ncclStatGpuMemSuspend);
    const uint64_t kept = statOf(comm, ncclStatGpuMemPersist);
    if (spare < 100'000) return "after work, only " + std::to_string(spare) + " bytes could be given back";
    if (statOf(comm, ncclStatGpuMemTotal) != spare + kept) return "the total is not the sum";
    RANK_TRY(ncclCommSuspend(comm, NCCL_SUSPEND_MEM));
    const uint64_t left = statOf(comm, ncclStatGpuMemTotal);
    if (left > kept) {
      return "suspended, it holds " + std::to_string(left) + " bytes; " + std::to_string(kept) +
             " were said to persist";
    }
    // Ranks that have resumed write to this one: not before it has looked.
    int value = 1;
    RANK_TRY(ncclAllReduce(&value, &value, 1, ncclInt32, ncclSum, parent, nullptr));
    RANK_TRY(ncclCommResume(comm));
  }
  if (std::string wrong = work(7); !wrong.empty()) return wrong;
  return ranks::failure("ncclCommDestroy", ncclCommDestroy(comm));
}

/// A rank that calls something else is found out.
std::string suspendsAlone(int rank, int n, ncclComm_t comm) {
  int value = 1;
  const ncclResult_t result = rank == 0 ? ncclCommSuspend(comm, NCCL_SUSPEND_MEM)
                                        : ncclAllReduce(&value, &value, 1, ncclInt32, ncclSum, comm, nullptr);
  const std::string text = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + ": " + text;
  return text.find("Suspend") != std::string::npos && text.find("AllReduce") != std::string::npos ? "" : text;
}

TEST(A_Processes, SuspendGivesMemoryBack) {
  for (int n : {2, 3, 5}) EXPECT_EQ(ranks::asProcesses(n, suspended), "");
}
TEST(A_Processes, SuspendThatNotAllCall) {
  EXPECT_EQ(ranks::asProcesses(3, suspendsAlone), "");
}
TEST(A_Processes, SharedBuffers) {
  for (int n : {2, 3}) EXPECT_EQ(ranks::asProcesses(n, all), "") << n;
}
TEST(A_Processes, BuffersThatComeAndGoLeaveNothing) {
  EXPECT_EQ(ranks::asProcesses(2, allocateForever), "");
}
TEST(A_Processes, SharedBuffersByEachAlgorithm) {
  for (const char* algorithm : {"ring", "oneshot", "twoshot", "tree", "rd", "pairwise"}) {
    ranks::Settings settings(
        std::vector<ranks::Setting>{{"NCCL_ALGO", std::string("allreduce:") + algorithm}});
    if (std::string(algorithm) == "pairwise") continue;
    EXPECT_EQ(ranks::asProcesses(3,
                                 [](int rank, int n, ncclComm_t comm) {
                                   std::string text = overwriteAtOnce(rank, n, comm);
                                   return text.empty() ? allocateAnew(rank, n, comm) : text;
                                 }),
              "")
        << algorithm;
  }
}
TEST(B_Threads, SharedBuffers) {
  for (int n : {1, 4}) EXPECT_EQ(ranks::asThreads(n, all), "") << n;
}

TEST(B_Threads, BuffersThatComeAndGoLeaveNothing) {
  EXPECT_EQ(ranks::asThreads(2, allocateForever), "");
}

TEST(B_Threads, WindowsInAGroup) {
  constexpr int kRanks = 3;
  ncclComm_t comms[kRanks];
  ASSERT_EQ(ncclCommInitAll(comms, kRanks, nullptr), ncclSuccess);
  void* memory[kRanks];
  ncclWindow_t windows[kRanks];
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  for (int r = 0; r < kRanks; ++r) {
    ASSERT_EQ(ncclMemAlloc(&memory[r], 4096), ncclSuccess);
    ASSERT_EQ(ncclCommWindowRegister(comms[r], memory[r], 4096, &windows[r], 0), ncclSuccess);
  }
  ASSERT_EQ(ncclGroupEnd(), ncclSuccess) << ncclGetLastError(nullptr);
  int value = 42;
  ASSERT_EQ(ncclPutSignal(&value, 1, ncclInt32, 2, windows[0], 8, 0, 0, 0, comms[0], nullptr), ncclSuccess);
  ncclWaitSignalDesc_t wait{1, 0, 0, 0};
  ASSERT_EQ(ncclWaitSignal(1, &wait, comms[2], nullptr), ncclSuccess);
  EXPECT_EQ(static_cast<int*>(memory[2])[2], 42);
  for (int r = 0; r < kRanks; ++r) {
    EXPECT_EQ(ncclCommWindowDeregister(comms[r], windows[r]), ncclSuccess);
    EXPECT_EQ(ncclCommDestroy(comms[r]), ncclSuccess);
    EXPECT_EQ(ncclMemFree(memory[r]), ncclSuccess);
  }
}

TEST(C_Errors, FreeingWhatIsNotAllocated) {
  int local = 0;
  EXPECT_EQ(ncclMemFree(&local), ncclInvalidArgument);
  void* memory = nullptr;
  ASSERT_EQ(ncclMemAlloc(&memory, 100), ncclSuccess);
  EXPECT_EQ(ncclMemFree(memory), ncclSuccess);
  EXPECT_EQ(ncclMemFree(memory), ncclInvalidArgument);
}

}  // namespace
