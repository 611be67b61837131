// Making, dividing, growing, shrinking and ending communicators.
#include <gtest/gtest.h>
#include <signal.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

/// "" or what is wrong with a communicator that should have n ranks, this one being `rank`.
std::string checkWorks(ncclComm_t comm, int rank, int n) {
  int have = -1;
  RANK_TRY(ncclCommCount(comm, &have));
  if (have != n) return "has " + std::to_string(have) + " ranks, not " + std::to_string(n);
  RANK_TRY(ncclCommUserRank(comm, &have));
  if (have != rank) return "is rank " + std::to_string(have) + ", not " + std::to_string(rank);
  for (ops::Kind kind : ops::kCollectives) {
    ops::Operation o;
    o.kind = kind;
    o.count = 1111;
    o.root = n - 1;
    ops::Part part(o, rank, n);
    RANK_TRY(part.issue(comm));
    if (std::string wrong = part.check(); !wrong.empty()) return wrong;
  }
  return "";
}

#define WORKS(comm, rank, n)                                                                  \
  do {                                                                                        \
    if (std::string text = checkWorks(comm, rank, n); !text.empty()) return #comm " " + text; \
  } while (false)

std::string split(int rank, int n, ncclComm_t comm) {
  // Odd and even ranks, in reversed order.
  ncclComm_t half = nullptr;
  RANK_TRY(ncclCommSplit(comm, rank % 2, -rank, &half, nullptr));
  const int members = (n + 1 - rank % 2) / 2;
  WORKS(half, members - 1 - rank / 2, members);
  // Without the last rank; equal keys keep the old order.
  ncclComm_t rest = nullptr;
  RANK_TRY(ncclCommSplit(comm, rank == n - 1 ? NCCL_SPLIT_NOCOLOR : 7, 5, &rest, nullptr));
  if (rank == n - 1) {
    if (rest != nullptr) return "NCCL_SPLIT_NOCOLOR gave a communicator";
  } else {
    WORKS(rest, rank, n - 1);
    RANK_TRY(ncclCommDestroy(rest));
  }
  // A split of a split, one rank each.
  ncclComm_t alone = nullptr;
  RANK_TRY(ncclCommSplit(half, members - rank / 2, 0, &alone, nullptr));
  WORKS(alone, 0, 1);
  RANK_TRY(ncclCommDestroy(alone));
  RANK_TRY(ncclCommDestroy(half));
  WORKS(comm, rank, n);
  return "";
}

std::string twoSplitsInOneGroup(int rank, int n, ncclComm_t comm) {
  for (int turn = 0; turn < 5; ++turn) {
    ncclComm_t a = nullptr, b = nullptr;
    RANK_TRY(ncclGroupStart());
    RANK_TRY(ncclCommSplit(comm, 0, -rank, &a, nullptr));
    RANK_TRY(ncclCommSplit(comm, rank % 2, rank, &b, nullptr));
    RANK_TRY(ncclGroupEnd());
    WORKS(a, n - 1 - rank, n);
    WORKS(b, rank / 2, (n + 1 - rank % 2) / 2);
    RANK_TRY(ncclCommDestroy(b));
    RANK_TRY(ncclCommDestroy(a));
  }
  return "";
}

std::string parentMayGoFirst(int rank, int n, ncclComm_t comm) {
  ncclComm_t parent = nullptr, child = nullptr;
  RANK_TRY(ncclCommSplit(comm, 0, rank, &parent, nullptr));
  RANK_TRY(ncclCommSplit(parent, 0, rank, &child, nullptr));
  RANK_TRY(ncclCommDestroy(parent));
  WORKS(child, rank, n);
  return ranks::failure("ncclCommDestroy", ncclCommDestroy(child));
}

std::string shrink(int rank, int n, ncclComm_t comm) {
  int excluded[] = {1};
  if (rank == 1) return "";  // leaves: ncclCommDestroy follows
  ncclComm_t smaller = nullptr;
  RANK_TRY(ncclCommShrink(comm, excluded, 1, &smaller, nullptr, NCCL_SHRINK_DEFAULT));
  WORKS(smaller, rank > 1 ? rank - 1 : rank, n - 1);
  return ranks::failure("ncclCommDestroy", ncclCommDestroy(smaller));
}

std::string finalizeAndSuspend(int rank, int n, ncclComm_t comm) {
  ncclComm_t own = nullptr;
  RANK_TRY(ncclCommSplit(comm, 0, rank, &own, nullptr));
  WORKS(own, rank, n);
  uint64_t held = 0;
  RANK_TRY(ncclCommMemStats(own, ncclStatGpuMemTotal, &held));
  if (n > 1 && held == 0) return "a communicator in use holds no memory";
  RANK_TRY(ncclCommSuspend(own, NCCL_SUSPEND_MEM));
  uint64_t suspended = 0;
  RANK_TRY(ncclCommMemStats(own, ncclStatGpuMemSuspended, &suspended));
  if (suspended != 1) return "not suspended";
  float value = 1;
  if (ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, own, nullptr) != ncclInvalidUsage)
    return "a suspended communicator took a call";
  RANK_TRY(ncclCommResume(own));
  WORKS(own, rank, n);
  RANK_TRY(ncclCommFinalize(own));
  if (ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, own, nullptr) != ncclInvalidUsage)
    return "a finalized communicator took a call";
  return ranks::failure("ncclCommDestroy", ncclCommDestroy(own));
}

std::string allOfThem(int rank, int n, ncclComm_t comm) {
  struct Subject {
    const char* name;
    std::string (*body)(int, int, ncclComm_t);
  };
  const Subject kSubjects[] = {{"split", split},
                               {"twoSplitsInOneGroup", twoSplitsInOneGroup},
                               {"parentMayGoFirst", parentMayGoFirst},
                               {"finalizeAndSuspend", finalizeAndSuspend},
                               {"shrink", shrink}};
  for (const Subject& subject : kSubjects) {
    if (std::string text = subject.body(rank, n, comm); !text.empty())
      return std::string(subject.name) + ": " + text;
  }
  return "";
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Processes, DeriveAndEnd) {
  for (int n : {2, 5}) EXPECT_EQ(ranks::asProcesses(n, allOfThem), "") << n;
}
TEST(A_Processes, DeriveAndEndByTcp) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", "tcp"}});
  EXPECT_EQ(ranks::asProcesses(3, allOfThem), "");
}

/// Rank 1 dies by kill -9 in front of the others, who are or come inside a collective; they go on without it.
std::string shrinkAfterDeath(int rank, int n, ncclComm_t comm) {
  std::string error = checkWorks(comm, rank, n);  // the others may still be inside when it dies
  if (rank == 1) kill(getpid(), SIGKILL);
  if (error.empty()) error = checkWorks(comm, rank, n);
  if (error.empty()) return "calls with a dead rank succeeded";
  if (error.find("rank 1 (") == std::string::npos) return "the error does not name rank 1: " + error;
  int excluded[] = {1};
  ncclComm_t smaller = nullptr;
  RANK_TRY(ncclCommShrink(comm, excluded, 1, &smaller, nullptr, NCCL_SHRINK_ABORT));
  WORKS(smaller, rank > 1 ? rank - 1 : rank, n - 1);
  return ranks::failure("ncclCommDestroy", ncclCommDestroy(smaller));
}
TEST(A_Processes, ShrinkAfterDeath) {
  for (int n : {2, 4}) EXPECT_EQ(ranks::asProcesses(n, shrinkAfterDeath, 1), "") << n;
}
TEST(A_Processes, ShrinkAfterDeathByTcp) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", "tcp"}});
  EXPECT_EQ(ranks::asProcesses(3, shrinkAfterDeath, 1), "");
}

TEST(B_Threads, DeriveAndEnd) {
  for (int n : {2, 3, 6}) EXPECT_EQ(ranks::asThreads(n, allOfThem), "") << n;
}

/// n threads, each of which makes its communicator itself.
template <typename Body>
std::string onThreads(int n, Body body) {
  std::vector<std::string> wrong(n);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < n; ++rank) threads.emplace_back([&, rank] { wrong[rank] = body(rank); });
  for (std::thread& thread : threads) thread.join();
  std::string all;
  for (int rank = 0; rank < n; ++rank) {
    if (!wrong[rank].empty()) all += "rank " + std::to_string(rank) + ": " + wrong[rank] + "\n";
  }
  return all;
}

TEST(B_Threads, ScalableInitWithTwoIds) {
  constexpr int kRanks = 7;
  ncclUniqueId ids[2];
  for (ncclUniqueId& id : ids) ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  EXPECT_EQ(onThreads(kRanks,
                      [&](int rank) -> std::string {
                        ncclComm_t comm = nullptr;
                        RANK_TRY(ncclCommInitRankScalable(&comm, kRanks, rank, 2, ids, nullptr));
                        WORKS(comm, rank, kRanks);
                        return ranks::failure("ncclCommDestroy", ncclCommDestroy(comm));
                      }),
            "");
}

TEST(B_Threads, Grow) {
  constexpr int kBefore = 3, kAfter = 5;
  ncclUniqueId first, more;
  std::atomic<bool> haveMore{false};
  ASSERT_EQ(ncclGetUniqueId(&first), ncclSuccess);
  EXPECT_EQ(
      onThreads(kAfter,
                [&](int rank) -> std::string {
                  ncclComm_t comm = nullptr, grown = nullptr;
                  if (rank < kBefore) {
                    RANK_TRY(ncclCommInitRank(&comm, kBefore, first, rank));
                    WORKS(comm, rank, kBefore);
                    if (rank == 1) {
                      RANK_TRY(ncclCommGetUniqueId(comm, &more));
                      haveMore.store(true);
                    }
                    RANK_TRY(ncclCommGrow(comm, kAfter, rank == 1 ? &more : nullptr, -1, &grown, nullptr));
                  } else {
                    while (!haveMore.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                    RANK_TRY(ncclCommGrow(nullptr, kAfter, &more, rank, &grown, nullptr));
                  }
                  WORKS(grown, rank, kAfter);
                  if (comm != nullptr) RANK_TRY(ncclCommDestroy(comm));
                  WORKS(grown, rank, kAfter);
                  return ranks::failure("ncclCommDestroy", ncclCommDestroy(grown));
                }),
      "");
}

using Clock = std::chrono::steady_clock;
double msSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

TEST(B_Threads, AbortFreesABlockedRank) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclComm_t comms[2] = {};
  std::thread other([&] { EXPECT_EQ(ncclCommInitRank(&comms[1], 2, id, 1), ncclSuccess); });
  ASSERT_EQ(ncclCommInitRank(&comms[0], 2, id, 0), ncclSuccess);
  other.join();
  ncclResult_t result = ncclSuccess;
  std::thread blocked([&] {
    float value = 1;
    result = ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comms[0], nullptr);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  auto start = Clock::now();
  EXPECT_EQ(ncclCommAbort(comms[0]), ncclSuccess);
  blocked.join();
  printf("abort freed the blocked rank after %.1f ms\n", msSince(start));
  EXPECT_NE(result, ncclSuccess);
  // The other rank is told.
  float value = 1;
  EXPECT_NE(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comms[1], nullptr), ncclSuccess);
  EXPECT_EQ(ncclCommAbort(comms[1]), ncclSuccess);
}

TEST(B_Threads, AbortFreesARankInInit) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ncclResult_t result = ncclCommInitRankConfig(&comm, 3, id, 1, &config);
  ASSERT_TRUE(result == ncclInProgress || result == ncclSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  auto start = Clock::now();
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  printf("abort of an init took %.1f ms\n", msSince(start));
}

TEST(B_Threads, RevokeStopsEverybodyAndShrinkGoesOn) {
  EXPECT_EQ(ranks::asThreads(
                3,
                [](int rank, int n, ncclComm_t comm) -> std::string {
                  WORKS(comm, rank, n);
                  if (rank == 2) {
                    RANK_TRY(ncclCommRevoke(comm, NCCL_REVOKE_DEFAULT));
                  } else {
                    float value = 1;
                    if (ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr) == ncclSuccess)
                      return "an AllReduce without rank 2 succeeded";
                    if (std::string(ncclGetLastError(comm)).find("rank 2") == std::string::npos)
                      return "rank 2 is not named: " + std::string(ncclGetLastError(comm));
                  }
                  if (rank == 0) return "";
                  int excluded[] = {0};
                  ncclComm_t smaller = nullptr;
                  RANK_TRY(ncclCommShrink(comm, excluded, 1, &smaller, nullptr, NCCL_SHRINK_ABORT));
                  WORKS(smaller, rank - 1, n - 1);
                  return ranks::failure("ncclCommDestroy", ncclCommDestroy(smaller));
                }),
            "");
}

TEST(B_Threads, ManyCommunicators) {
  EXPECT_EQ(ranks::asThreads(3,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               std::vector<ncclComm_t> many(40);
                               for (ncclComm_t& c : many) RANK_TRY(ncclCommSplit(comm, 0, rank, &c, nullptr));
                               float value = 1;
                               for (ncclComm_t c : many)
                                 RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclMax, c, nullptr));
                               for (ncclComm_t c : many) RANK_TRY(ncclCommDestroy(c));
                               WORKS(comm, rank, n);
                               return "";
                             }),
            "");
}

}  // namespace
