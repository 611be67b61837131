// AllReduce where every rank's buffers change from call to call between shared and private, in and out of
// place: the plan for buffers within reach of everybody, the one for others, and the calls in which one turns
// into the other.
#include <gtest/gtest.h>

#include <random>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ops::MemoryKind;
using ops::Operation;
using ops::Part;

constexpr uint32_t kSeed = 20261121;
#ifdef __SANITIZE_THREAD__
constexpr int kTurns = 5;  // a minute each otherwise
constexpr size_t kMostCount = 100'000;
#else
constexpr int kTurns = 10;
constexpr size_t kMostCount = SIZE_MAX;
#endif

/// The first calls all shared (so that the ranks learn it), then whatever comes.
std::string mixed(int rank, int n, ncclComm_t comm) {
  struct Case {
    size_t count;
    ncclDataType_t type;
    ncclRedOp_t op;
  };
  const Case cases[] = {{1024, ncclFloat32, ncclSum},   {20'000, ncclFloat32, ncclAvg},
                        {8'191, ncclInt64, ncclMax},    {300'001, ncclFloat32, ncclSum},
                        {70'000, ncclFloat16, ncclAvg}, {50'000, ncclBfloat16, ncclProd},
                        {1'200'000, ncclInt8, ncclSum}};
  for (const Case& c : cases) {
    if (c.count > kMostCount) continue;
    for (int turn = 0; turn < kTurns; ++turn) {
      // Of this rank alone: no rank knows what the others do.
      std::mt19937 random(kSeed + static_cast<uint32_t>(turn * 64 + rank));
      Operation o;
      o.kind = ops::Kind::AllReduce;
      o.count = c.count;
      o.type = c.type;
      o.op = c.op;
      o.inPlace = turn >= 2 && random() % 2 == 0;
      const bool isPrivate = turn >= 3 && random() % 3 == 0;
      Part part(o, rank, n, isPrivate ? MemoryKind::Private : MemoryKind::Shared);
      part.fill();
      RANK_TRY(part.issue(comm));
      if (std::string wrong = part.check(); !wrong.empty()) {
        return "count " + std::to_string(c.count) + ", turn " + std::to_string(turn) + ": " + wrong;
      }
    }
  }
  return "";
}

/// The same calls in the same order on all ranks, but each rank puts its own runs of them into groups: what
/// the ranks learn of each other's buffers must not depend on that.
std::string grouped(int rank, int n, ncclComm_t comm) {
  constexpr int kCalls = 8 * kTurns;
  const size_t counts[] = {8'192, 30'000, 100'000};
  std::mt19937 calls(kSeed);                                  // the same on all ranks
  std::mt19937 own(kSeed + 1 + static_cast<uint32_t>(rank));  // of this rank alone
  std::vector<std::unique_ptr<Part>> group;
  size_t groupSize = 1;
  for (int call = 0; call < kCalls; ++call) {
    Operation o;
    o.kind = ops::Kind::AllReduce;
    o.count = counts[calls() % 3];
    o.type = ncclFloat32;
    o.op = ncclSum;
    // Runs of calls in which all buffers are shared, and calls in which one rank's are not.
    const bool allShared = calls() % 4 != 0;
    const bool isPrivate = !allShared && static_cast<int>(calls() % static_cast<unsigned>(n)) == rank;
    if (group.empty()) {
      groupSize = 1 + own() % 6;
      if (groupSize > 1) RANK_TRY(ncclGroupStart());
    }
    group.push_back(std::make_unique<Part>(o, rank, n, isPrivate ? MemoryKind::Private : MemoryKind::Shared));
    group.back()->fill();
    RANK_TRY(group.back()->issue(comm));
    if (group.size() < groupSize && call + 1 < kCalls) continue;
    if (groupSize > 1) RANK_TRY(ncclGroupEnd());
    for (const auto& part : group) {
      if (std::string wrong = part->check(); !wrong.empty())
        return "group that ends with call " + std::to_string(call) + ": " + wrong;
    }
    group.clear();
  }
  return "";
}

class Reach : public testing::TestWithParam<int> {};

// Forks first: none after there have been threads.
TEST_P(Reach, Processes) {
  EXPECT_EQ(ranks::asProcesses(GetParam(), mixed), "");
}
TEST_P(Reach, RanksGroupTheirCallsDifferentlyProcesses) {
  EXPECT_EQ(ranks::asProcesses(GetParam(), grouped), "");
}
TEST_P(Reach, Threads) {
  EXPECT_EQ(ranks::asThreads(GetParam(), mixed), "");
}
TEST_P(Reach, RanksGroupTheirCallsDifferentlyThreads) {
  EXPECT_EQ(ranks::asThreads(GetParam(), grouped), "");
}

INSTANTIATE_TEST_SUITE_P(Ranks, Reach, testing::Values(2, 3, 5));

}  // namespace
