#include <gmock/gmock.h>

#include <atomic>

#include "control/crypto.hpp"
#include "harness.hpp"

namespace tutti::control::testing {
namespace {

using ::testing::HasSubstr;

class JoinTest : public ::testing::TestWithParam<std::pair<int, int>> {};

TEST_P(JoinTest, AllRanksKnowAll) {
  const auto [n, nIds] = GetParam();
  Planes planes = makePlanes(n, nIds);
  for (int rank = 0; rank < n; ++rank) {
    ControlPlane& plane = *planes[static_cast<size_t>(rank)];
    EXPECT_EQ(plane.rank(), rank);
    EXPECT_EQ(plane.nRanks(), n);
    EXPECT_EQ(plane.commHash(), planes[0]->commHash());
    for (int other = 0; other < n; ++other) {
      EXPECT_EQ(textOf(plane.infoOf(other)), fmt::format("info of {}", other));
      EXPECT_TRUE(plane.sameHost(other));
      EXPECT_TRUE(plane.sameProcess(other));
      EXPECT_EQ(plane.peer(other).pid, static_cast<uint32_t>(getpid()));
    }
  }
  onThreads(n, [&](int rank) {
    ControlPlane& plane = *planes[static_cast<size_t>(rank)];
    for (int round = 0; round < 5; ++round) {
      const Bytes mine = bytesOfText(std::string(static_cast<size_t>(rank * round % 7), 'x') +
                                     std::to_string(rank * 100 + round));
      auto all = plane.allGather(mine, within(20'000));
      ASSERT_TRUE(all.ok()) << all.error().message();
      ASSERT_EQ(all.value().size(), static_cast<size_t>(n));
      for (int other = 0; other < n; ++other) {
        EXPECT_EQ(
            textOf(all.value()[static_cast<size_t>(other)]),
            std::string(static_cast<size_t>(other * round % 7), 'x') + std::to_string(other * 100 + round));
      }
      ASSERT_TRUE(plane.barrier(within(20'000)).ok());
    }
    EXPECT_EQ(plane.faultWord().load(), 0u);
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, JoinTest,
                         ::testing::Values(std::pair(1, 1), std::pair(2, 1), std::pair(3, 1), std::pair(5, 1),
                                           std::pair(6, 2), std::pair(8, 3), std::pair(17, 1),
                                           std::pair(33, 4), std::pair(64, 1), std::pair(64, 64)));

TEST(Join, ManyThreadsOfOneProcess) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int kRanks = 96;
#else
  constexpr int kRanks = 512;
#endif
  Planes planes = makePlanes(kRanks);
  EXPECT_EQ(textOf(planes[0]->infoOf(kRanks - 1)), fmt::format("info of {}", kRanks - 1));
  EXPECT_EQ(textOf(planes[kRanks - 1]->infoOf(0)), "info of 0");
}

TEST(Join, ManyCommunicatorsAtOnce) {
  onThreads(8, [](int) {
    for (int round = 0; round < 3; ++round) {
      Planes planes = makePlanes(4);
      EXPECT_EQ(planes[3]->nRanks(), 4);
    }
  });
}

TEST(Join, NamesTheMissing) {
  const UniqueId id = createUniqueId().value();
  onThreads(4, [&](int thread) {
    const int rank = std::array{0, 1, 2, 4}[static_cast<size_t>(thread)];
    auto plane = ControlPlane::join(joinOptions({id}, rank, 8, 300));
    ASSERT_FALSE(plane.ok());
    EXPECT_EQ(plane.error().code(), Code::Timeout);
    EXPECT_THAT(plane.error().message(), HasSubstr("ranks 3, 5-7 of 8 did not check in within"));
  });
}

TEST(Join, NamesTheMissingWithSeveralIds) {
  const std::vector<UniqueId> ids = {createUniqueId().value(), createUniqueId().value(),
                                     createUniqueId().value()};
  onThreads(5, [&](int rank) {
    auto plane = ControlPlane::join(joinOptions(ids, rank, 6, 300));
    ASSERT_FALSE(plane.ok());
    EXPECT_THAT(plane.error().message(), HasSubstr("rank 5 of 6 did not check in within"));
  });
}

TEST(Join, TwoClaimOneRank) {
  const UniqueId id = createUniqueId().value();
  onThreads(3, [&](int thread) {
    const int rank = std::array{0, 1, 1}[static_cast<size_t>(thread)];
    auto plane = ControlPlane::join(joinOptions({id}, rank, 3, 10'000));
    ASSERT_FALSE(plane.ok());
    EXPECT_THAT(plane.error().message(), HasSubstr("claim to be rank 1 of 3"));
    EXPECT_THAT(plane.error().message(), HasSubstr(fmt::format("pid {}", getpid())));
  });
}

TEST(Join, DifferentNumberOfRanks) {
  const UniqueId id = createUniqueId().value();
  onThreads(2, [&](int rank) {
    auto plane = ControlPlane::join(joinOptions({id}, rank, rank == 0 ? 3 : 4, 10'000));
    ASSERT_FALSE(plane.ok());
    EXPECT_THAT(plane.error().message(), HasSubstr("must be given the same number"));
  });
}

TEST(Join, LateComerIsTold) {
  const UniqueId id = createUniqueId().value();
  onThreads(2, [&](int rank) { ASSERT_TRUE(ControlPlane::join(joinOptions({id}, rank, 2)).ok()); });
  auto late = ControlPlane::join(joinOptions({id}, 1, 2, 5000));
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.error().message(), HasSubstr("has already made a communicator of 2 ranks"));
}

TEST(Join, AbortFreesAndTellsTheOthers) {
  const UniqueId id = createUniqueId().value();
  std::atomic<bool> abort{false};
  onThreads(3, [&](int rank) {
    if (rank == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      abort = true;
      return;
    }
    JoinOptions options = joinOptions({id}, rank, 3, 20'000);
    if (rank == 1) options.wait.abort = &abort;
    auto plane = ControlPlane::join(std::move(options));
    ASSERT_FALSE(plane.ok());
    EXPECT_THAT(plane.error().message(), HasSubstr("aborted by this rank"));
    if (rank == 0) {
      EXPECT_THAT(plane.error().message(), HasSubstr("rank 1 ("));
    }
  });
}

TEST(Join, RefusesBadArguments) {
  const UniqueId id = createUniqueId().value();
  EXPECT_EQ(ControlPlane::join(joinOptions({id}, 2, 2)).error().code(), Code::InvalidArgument);
  EXPECT_EQ(ControlPlane::join(joinOptions({id}, -1, 2)).error().code(), Code::InvalidArgument);
  EXPECT_EQ(ControlPlane::join(joinOptions({id}, 0, 0)).error().code(), Code::InvalidArgument);
  EXPECT_EQ(ControlPlane::join(joinOptions({}, 0, 1)).error().code(), Code::InvalidArgument);
  EXPECT_EQ(ControlPlane::join(joinOptions({id, id}, 0, 1)).error().code(), Code::InvalidArgument);
  UniqueId bad = id;
  bad.bytes[40] ^= 1;
  EXPECT_THAT(ControlPlane::join(joinOptions({bad}, 0, 1)).error().message(), HasSubstr("damaged"));
  EXPECT_THAT(ControlPlane::join(joinOptions({UniqueId{}}, 0, 1)).error().message(),
              HasSubstr("no unique id"));
}

TEST(Join, UnreachableRootIsNamed) {
  UniqueIdFields fields = createUniqueId().value().decode().value();
  fields.address.port = 1;  // nobody listens there
  fields.id ^= 1;
  auto plane = ControlPlane::join(joinOptions({UniqueId::encode(fields)}, 0, 2, 300));
  ASSERT_FALSE(plane.ok());
  EXPECT_THAT(plane.error().message(), HasSubstr("cannot reach the process that made the unique id"));
  EXPECT_THAT(plane.error().message(), HasSubstr("refused"));
}

TEST(Gather, TimeoutNamesWhoDidNotCome) {
  Planes planes = makePlanes(4);
  onThreads(4, [&](int rank) {
    if (rank == 2) return;
    auto all = planes[static_cast<size_t>(rank)]->allGather({}, within(200));
    ASSERT_FALSE(all.ok());
    EXPECT_THAT(all.error().message(), HasSubstr("rank 2 of 4"));
  });
  EXPECT_TRUE(eventually([&] { return planes[2]->faultWord() != 0; }));
  EXPECT_EQ(planes[2]->fault().kind, FaultKind::Timeout);
}

TEST(Gather, Large) {
  Planes planes = makePlanes(5);
  onThreads(5, [&](int rank) {
    const Bytes mine(300'000, static_cast<uint8_t>(rank));
    auto all = planes[static_cast<size_t>(rank)]->allGather(mine, within(20'000));
    ASSERT_TRUE(all.ok());
    for (int other = 0; other < 5; ++other) {
      EXPECT_EQ(all.value()[static_cast<size_t>(other)], Bytes(300'000, static_cast<uint8_t>(other)));
    }
  });
}

}  // namespace
}  // namespace tutti::control::testing
