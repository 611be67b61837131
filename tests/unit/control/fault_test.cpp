// Faults, departures, mismatched calls, derived communicators: ranks as threads.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <mutex>

#include "harness.hpp"

namespace tutti::control::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

CallRecord call(uint64_t seq, uint32_t kind, uint64_t count) {
  CallRecord record;
  record.seq = seq;
  record.kind = kind;
  record.count = count;
  record.signature = kind * 1000 + count;
  return record;
}

bool allHaveFault(const Planes& planes) {
  for (const auto& plane : planes) {
    if (plane->faultWord().load() == 0) return false;
  }
  return true;
}

TEST(Fault, RaiseReachesAll) {
  for (const int n : {1, 2, 21}) {
    std::atomic<int> told{0};
    const UniqueId id = createUniqueId().value();
    Planes planes(static_cast<size_t>(n));
    onThreads(n, [&](int rank) {
      JoinOptions options = joinOptions({id}, rank, n);
      options.onFault = [&told](const Fault& fault) {
        EXPECT_EQ(fault.kind, FaultKind::Aborted);
        told.fetch_add(1);
      };
      planes[static_cast<size_t>(rank)] = ControlPlane::join(std::move(options)).value();
    });
    planes.back()->raise({FaultKind::Aborted, n - 1, "somebody aborted"});
    EXPECT_EQ(planes.back()->faultWord().load(), packFault(FaultKind::Aborted, n - 1))
        << "at once for the one who raises";
    EXPECT_TRUE(eventually([&] { return allHaveFault(planes) && told == n; }));
    planes[0]->raise({FaultKind::Revoked, 0, "the first fault stays"});
    for (const auto& plane : planes) {
      EXPECT_EQ(plane->fault().text, "somebody aborted");
      EXPECT_EQ(faultKindOf(plane->faultWord().load()), FaultKind::Aborted);
      EXPECT_EQ(faultRankOf(plane->faultWord().load()), n - 1);
    }
  }
}

TEST(Fault, EndsWaits) {
  Planes planes = makePlanes(4);
  onThreads(4, [&](int rank) {
    ControlPlane& plane = *planes[static_cast<size_t>(rank)];
    if (rank == 0) {
      EXPECT_THAT(plane.allGather({}, within(20'000)).error().message(), HasSubstr("enough"));
    } else if (rank == 1) {
      EXPECT_THAT(plane.acceptStream(0, 3, within(20'000)).error().message(), HasSubstr("enough"));
    } else if (rank == 2) {
      EXPECT_THAT(plane.fetchFd(0, 3, within(20'000)).error().message(), HasSubstr("enough"));
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      plane.raise({FaultKind::LocalError, 3, "enough"});
    }
  });
  // And what begins later ends at once.
  EXPECT_FALSE(planes[1]->barrier(within(20'000)).ok());
  EXPECT_FALSE(planes[1]->openStream(0, 1, within(20'000)).ok());
  EXPECT_FALSE(planes[1]->acceptStream(0, 1, within(20'000)).ok());
  EXPECT_FALSE(planes[1]->fetchFd(0, 1, within(20'000)).ok());
}

TEST(Fault, CodesAreThoseOfTheKind) {
  EXPECT_EQ(errorOf({FaultKind::Mismatch, 1, "x"}).code(), Code::InvalidUsage);
  EXPECT_EQ(errorOf({FaultKind::Dead, 1, "x"}).code(), Code::RemoteError);
  EXPECT_EQ(errorOf({FaultKind::Timeout, 1, "x"}).code(), Code::Timeout);
  EXPECT_EQ(nameOf(FaultKind::Revoked), "revoked");
}

TEST(Leave, IsKnownAndIsNoFault) {
  Planes planes = makePlanes(9);
  EXPECT_FALSE(planes[0]->hasLeft(3));
  planes[3]->leave();
  planes[1].reset();
  for (const int rank : {0, 2, 4, 5, 6, 7, 8}) {
    EXPECT_TRUE(eventually([&] {
      return planes[static_cast<size_t>(rank)]->hasLeft(3) && planes[static_cast<size_t>(rank)]->hasLeft(1);
    }));
    EXPECT_EQ(planes[static_cast<size_t>(rank)]->faultWord().load(), 0u);
  }
  // Those that have left still pass on what the others say: 1 is the parent of 5 to 8.
  planes[5]->raise({FaultKind::Aborted, 5, "stop"});
  for (const int rank : {0, 2, 4, 6, 7, 8}) {
    EXPECT_TRUE(eventually([&] { return planes[static_cast<size_t>(rank)]->faultWord() != 0; })) << rank;
  }
}

TEST(Leave, NothingIsLeftBehind) {
  const auto openFiles = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  (void)makePlanes(3);
  const auto before = openFiles();
  for (int round = 0; round < 40; ++round) {
    Planes planes = makePlanes(3);
    planes[0]->offerFd(1, UniqueFd(dup(0)));
    ASSERT_TRUE(planes[1]->fetchFd(0, 1, within(5000)).ok());
    ASSERT_TRUE(planes[1]->openStream(2, 1, within(5000)).ok());  // and never accepted
  }
  EXPECT_TRUE(eventually([&] { return openFiles() <= before + 2; }));
}

TEST(Leave, EndsGathersOfTheOthers) {
  Planes planes = makePlanes(3);
  onThreads(3, [&](int rank) {
    if (rank == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      planes[1]->leave();
      return;
    }
    const Status status = planes[static_cast<size_t>(rank)]->barrier(within(20'000));
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message(),
                AllOf(HasSubstr("rank 1 ("), HasSubstr("has destroyed the communicator")));
  });
}

TEST(Probe, MismatchNamesBothCalls) {
  Planes planes = makePlanes(7);
  for (uint64_t seq = 1; seq <= 17; ++seq) {
    for (int rank = 0; rank < 7; ++rank) {
      planes[static_cast<size_t>(rank)]->recordCall(call(seq, 3, seq == 17 && rank == 5 ? 200 : 100));
    }
  }
  planes[0]->probe(17);
  EXPECT_TRUE(eventually([&] { return allHaveFault(planes); }));
  for (const auto& plane : planes) {
    EXPECT_EQ(plane->fault().kind, FaultKind::Mismatch);
    EXPECT_THAT(plane->fault().text, AllOf(HasSubstr("call #17"), HasSubstr("rank 5 called Op3(count 200)"),
                                           HasSubstr("called Op3(count 100)")));
  }
}

TEST(Probe, EqualCallsAreNoFault) {
  Planes planes = makePlanes(5);
  for (const auto& plane : planes) plane->recordCall(call(1, 1, 1));
  for (const auto& plane : planes) plane->probe(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (const auto& plane : planes) EXPECT_EQ(plane->faultWord().load(), 0u);
}

TEST(Probe, WaitsForThoseWhoAreNotThereYet) {
  Planes planes = makePlanes(3);
  for (const auto& plane : planes) plane->recordCall(call(1, 1, 1));
  planes[0]->recordCall(call(2, 1, 5));
  planes[0]->probe(2);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(planes[0]->faultWord().load(), 0u);
  planes[1]->recordCall(call(2, 1, 5));
  planes[2]->recordCall(call(2, 4, 6));
  EXPECT_TRUE(eventually([&] { return allHaveFault(planes); }));
  EXPECT_THAT(planes[1]->fault().text,
              AllOf(HasSubstr("rank 2 called Op4(count 6)"), HasSubstr("Op1(count 5)")));
}

TEST(Probe, RankThatHasLeftIsNamed) {
  Planes planes = makePlanes(3);
  for (const auto& plane : planes) plane->recordCall(call(1, 1, 1));
  planes[0]->recordCall(call(2, 1, 5));
  planes[0]->probe(2);
  planes[2]->leave();
  EXPECT_TRUE(eventually([&] { return planes[0]->faultWord() != 0 && planes[1]->faultWord() != 0; }));
  EXPECT_THAT(planes[1]->fault().text, AllOf(HasSubstr("rank 0 called Op1(count 5) as call #2"),
                                             HasSubstr("rank 2 ("), HasSubstr("after call #1")));
}

TEST(Probe, DescribeMissingNamesThem) {
  Planes planes = makePlanes(6);
  for (int rank = 0; rank < 6; ++rank) {
    planes[static_cast<size_t>(rank)]->recordCall(call(1, 1, 1));
    if (rank != 4) planes[static_cast<size_t>(rank)]->recordCall(call(2, 2, 2));
  }
  EXPECT_EQ(planes[0]->describeMissing(2, within(5000)),
            "rank 4 has not made call #2; its last was #1 Op1(count 1)");
  EXPECT_EQ(planes[3]->describeMissing(1, within(5000)), "");
}

TEST(CallHistory, KeepsTheLastAndIsNeverTorn) {
  CallHistory history;
  EXPECT_EQ(history.last(), 0u);
  EXPECT_FALSE(history.find(0).has_value());
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      const uint64_t last = history.last();
      for (uint64_t seq = last > 70 ? last - 70 : 0; seq <= last; ++seq) {
        const auto found = history.find(seq);
        if (!found) continue;
        ASSERT_EQ(found->seq, seq);
        ASSERT_EQ(found->signature, seq * 3);
        ASSERT_EQ(found->count, seq * 5);
        ASSERT_EQ(found->kind, static_cast<uint32_t>(seq));
        ASSERT_EQ(found->flags, static_cast<uint32_t>(seq * 7));
        ASSERT_EQ(found->root, -static_cast<int32_t>(seq % 1000));
      }
    }
  });
  for (uint64_t seq = 1; seq <= 200'000; ++seq) {
    CallRecord record;
    record.seq = seq;
    record.signature = seq * 3;
    record.count = seq * 5;
    record.kind = static_cast<uint32_t>(seq);
    record.flags = static_cast<uint32_t>(seq * 7);
    record.root = -static_cast<int32_t>(seq % 1000);
    record.dtype = static_cast<uint8_t>(seq);
    record.op = static_cast<uint8_t>(seq + 1);
    history.record(record);
  }
  stop = true;
  reader.join();
  EXPECT_TRUE(history.find(200'000).has_value());
  EXPECT_EQ(history.find(200'000)->dtype, static_cast<uint8_t>(200'000));
  EXPECT_TRUE(history.find(200'000 - CallHistory::kSlots + 1).has_value());
  EXPECT_FALSE(history.find(200'000 - CallHistory::kSlots).has_value());
  EXPECT_FALSE(history.find(200'001).has_value());
}

TEST(Derive, SplitsAndKeepsApart) {
  constexpr int kRanks = 13;
  Planes planes = makePlanes(kRanks);
  Planes halves(kRanks);
  onThreads(kRanks, [&](int rank) {
    DeriveOptions options;
    for (int other = kRanks - 1; other >= 0; --other) {
      if (other % 2 == rank % 2) options.ranks.push_back(other);
    }
    options.tag = 5;
    options.selfInfo = bytesOfText(std::to_string(rank));
    options.wait = within(10'000);
    auto derived = planes[static_cast<size_t>(rank)]->derive(std::move(options));
    ASSERT_TRUE(derived.ok()) << derived.error().message();
    halves[static_cast<size_t>(rank)] = std::move(derived).value();
    auto all =
        halves[static_cast<size_t>(rank)]->allGather(bytesOfText(std::to_string(rank)), within(10'000));
    ASSERT_TRUE(all.ok());
    for (size_t i = 0; i < all.value().size(); ++i) {
      EXPECT_EQ(textOf(all.value()[i]),
                textOf(halves[static_cast<size_t>(rank)]->infoOf(static_cast<int>(i))));
    }
  });
  EXPECT_EQ(halves[12]->rank(), 0);
  EXPECT_EQ(halves[0]->rank(), 6);
  EXPECT_NE(halves[0]->commHash(), halves[1]->commHash());
  EXPECT_NE(halves[0]->commHash(), planes[0]->commHash());
  halves[0]->raise({FaultKind::Aborted, 0, "only the even ones"});
  EXPECT_TRUE(eventually([&] { return halves[12]->faultWord() != 0; }));
  EXPECT_EQ(halves[1]->faultWord().load(), 0u);
  EXPECT_EQ(planes[0]->faultWord().load(), 0u);
}

TEST(Derive, FromAFaultyParent) {
  Planes planes = makePlanes(4);
  planes[0]->raise({FaultKind::Aborted, 0, "stop"});
  EXPECT_TRUE(eventually([&] { return allHaveFault(planes); }));
  onThreads(4, [&](int rank) {
    if (rank == 0) return;
    DeriveOptions options;
    options.ranks = {1, 2, 3};
    options.wait = within(10'000);
    auto derived = planes[static_cast<size_t>(rank)]->derive(std::move(options));
    ASSERT_TRUE(derived.ok()) << derived.error().message();
    EXPECT_TRUE(derived.value()->barrier(within(10'000)).ok());
  });
}

TEST(Derive, TimeoutNamesWhoDidNotCome) {
  Planes planes = makePlanes(4);
  onThreads(4, [&](int rank) {
    if (rank == 2) return;
    DeriveOptions options;
    options.ranks = {0, 1, 2, 3};
    options.wait = within(200);
    auto derived = planes[static_cast<size_t>(rank)]->derive(std::move(options));
    ASSERT_FALSE(derived.ok());
    EXPECT_THAT(derived.error().message(), HasSubstr("rank 2 of 4 did not come"));
  });
}

TEST(Derive, RefusesBadRanks) {
  Planes planes = makePlanes(2);
  DeriveOptions options;
  options.ranks = {0, 0};
  EXPECT_EQ(planes[0]->derive(options).error().code(), Code::InvalidArgument);
  options.ranks = {0, 2};
  EXPECT_EQ(planes[0]->derive(options).error().code(), Code::InvalidArgument);
  options.ranks = {1};
  EXPECT_EQ(planes[0]->derive(options).error().code(), Code::InvalidArgument);
}

TEST(Derive, MemberThatHasLeftIsNamed) {
  Planes planes = makePlanes(3);
  planes[2]->leave();
  EXPECT_TRUE(eventually([&] { return planes[0]->hasLeft(2); }));
  DeriveOptions options;
  options.ranks = {0, 2};
  options.wait = within(10'000);
  auto derived = planes[0]->derive(options);
  ASSERT_FALSE(derived.ok());
  EXPECT_THAT(derived.error().message(), HasSubstr("rank 2 ("));
}

TEST(Stream, BothOrdersAndTags) {
  Planes planes = makePlanes(3);
  onThreads(3, [&](int rank) {
    ControlPlane& plane = *planes[static_cast<size_t>(rank)];
    for (uint32_t tag = 0; tag < 4; ++tag) {
      if (rank == 0) {
        if (tag % 2) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        auto fd = plane.openStream(2, tag, within(10'000));
        ASSERT_TRUE(fd.ok()) << fd.error().message();
        ASSERT_EQ(write(fd.value().get(), &tag, sizeof(tag)), static_cast<ssize_t>(sizeof(tag)));
        uint32_t back = 0;
        ASSERT_EQ(read(fd.value().get(), &back, sizeof(back)), static_cast<ssize_t>(sizeof(back)));
        EXPECT_EQ(back, tag + 100);
      } else if (rank == 2) {
        if (tag % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        auto fd = plane.acceptStream(0, tag, within(10'000));
        ASSERT_TRUE(fd.ok()) << fd.error().message();
        uint32_t got = 99;
        ASSERT_EQ(read(fd.value().get(), &got, sizeof(got)), static_cast<ssize_t>(sizeof(got)));
        EXPECT_EQ(got, tag);
        const uint32_t back = tag + 100;
        ASSERT_EQ(write(fd.value().get(), &back, sizeof(back)), static_cast<ssize_t>(sizeof(back)));
      }
    }
  });
  auto late = planes[1]->acceptStream(0, 9, within(50));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), Code::Timeout);
  // What comes after the waiter gave up is kept for the next one.
  ASSERT_TRUE(planes[0]->openStream(1, 9, within(10'000)).ok());
  EXPECT_TRUE(planes[1]->acceptStream(0, 9, within(10'000)).ok());
}

TEST(Descriptor, OfferBeforeAfterAndWithdrawn) {
  Planes planes = makePlanes(2);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd readEnd(ends[0]);
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    planes[0]->offerFd(1, UniqueFd(ends[1]));
  });
  auto first = planes[1]->fetchFd(0, 1, within(10'000));
  late.join();
  ASSERT_TRUE(first.ok()) << first.error().message();
  auto second = planes[0]->fetchFd(0, 1, within(10'000));
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_NE(first.value().get(), second.value().get());
  ASSERT_EQ(write(second.value().get(), "x", 1), 1);
  char got = 0;
  ASSERT_EQ(read(readEnd.get(), &got, 1), 1);
  planes[0]->withdrawFd(1);
  EXPECT_EQ(planes[1]->fetchFd(0, 1, within(50)).error().code(), Code::Timeout);
  planes[0]->leave();
  EXPECT_FALSE(planes[1]->fetchFd(0, 1, within(10'000)).ok());
}

}  // namespace
}  // namespace tutti::control::testing
