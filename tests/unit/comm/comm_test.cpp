// The parts of the communicator room that need no other ranks: plan cache, host streams, words for calls.
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <future>

#include "comm/communicator.hpp"
#include "core/param.hpp"

namespace tutti::comm {
namespace {

PlanKey keyOf(size_t count, int sendTo = -1, int recvFrom = -1) {
  PlanKey key;
  key.request.collective = algos::Collective::AllReduce;
  key.request.count = count;
  key.request.nRanks = 4;
  key.sendTo = sendTo;
  key.recvFrom = recvFrom;
  return key;
}

std::unique_ptr<PlanEntry> entryOf(const PlanKey& key) {
  auto entry = std::make_unique<PlanEntry>();
  entry->key = key;
  entry->record.count = key.request.count;
  return entry;
}

TEST(PlanCacheTest, FindsWhatWasPutThere) {
  PlanCache cache;
  EXPECT_EQ(cache.find(keyOf(1)), nullptr);
  const PlanEntry* one = cache.insert(entryOf(keyOf(1)));
  const PlanEntry* two = cache.insert(entryOf(keyOf(2)));
  EXPECT_EQ(cache.find(keyOf(1)), one);
  EXPECT_EQ(cache.find(keyOf(2)), two);
  EXPECT_EQ(cache.find(keyOf(3)), nullptr);
}

TEST(PlanCacheTest, TellsApartWhatDiffersInOneThing) {
  PlanCache cache;
  std::vector<PlanKey> keys(8, keyOf(10));
  keys[1].request.type = DataType::Float64;
  keys[2].request.op = ReduceOp::Max;
  keys[3].request.inPlace = true;
  keys[4].optionsHash = 1;
  keys[5].sendTo = 1;
  keys[6].recvFrom = 1;
  keys[7].request.root = 2;
  std::vector<const PlanEntry*> entries;
  for (const PlanKey& key : keys) entries.push_back(cache.insert(entryOf(key)));
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(cache.find(keys[i]), entries[i]) << i;
}

TEST(PlanCacheTest, IsBoundedAndKeepsWhatAGroupUses) {
  PlanCache cache;
  cache.hold(true);
  const PlanEntry* first = cache.insert(entryOf(keyOf(0)));
  for (size_t i = 1; i < PlanCache::kMost + 10; ++i) cache.insert(entryOf(keyOf(i)));
  EXPECT_EQ(cache.find(keyOf(0)), first) << "held: what was handed out is still there";
  EXPECT_EQ(first->record.count, 0u);
  EXPECT_EQ(cache.size(), PlanCache::kMost + 10);
  cache.hold(false);
  cache.insert(entryOf(keyOf(1'000'000)));
  EXPECT_EQ(cache.size(), 1u) << "it began anew";
  EXPECT_EQ(cache.find(keyOf(0)), nullptr);
}

TEST(SignatureTest, CountsOnlyWhatRanksMustAgreeOn) {
  algos::Request a = keyOf(100).request;
  algos::Request b = a;
  b.inPlace = true;
  b.root = 3;  // AllReduce has none
  EXPECT_EQ(signatureOf(a, true), signatureOf(b, true));
  b.count = 101;
  EXPECT_NE(signatureOf(a, true), signatureOf(b, true));
  EXPECT_EQ(signatureOf(a, false), signatureOf(b, false));
  b = a;
  b.op = ReduceOp::Prod;
  EXPECT_NE(signatureOf(a, true), signatureOf(b, true));
}

TEST(DescribeCallTest, SaysWhatTheUserCalled) {
  control::CallRecord record;
  record.kind = static_cast<uint32_t>(algos::Collective::Reduce);
  record.count = 200;
  record.dtype = static_cast<uint8_t>(DataType::Float32);
  record.op = static_cast<uint8_t>(ReduceOp::Max);
  record.root = 3;
  EXPECT_EQ(describeCall(record), "Reduce(count 200, float, max, root 3)");
  record.kind = static_cast<uint32_t>(algos::Collective::AllGather);
  EXPECT_EQ(describeCall(record), "AllGather(count 200, float)");
}

TEST(HostStreamTest, WorksInOrderAndKeepsTheFirstError) {
  HostStream stream;
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) {
    stream.push([&seen, i]() -> Status {
      seen.push_back(i);
      if (i == 30 || i == 60) return makeError(Code::InvalidUsage, "work {}", i);
      return {};
    });
  }
  Status status = stream.synchronize();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message(), "work 30");
  ASSERT_EQ(seen.size(), 100u) << "later work still ran";
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
  EXPECT_TRUE(stream.synchronize().ok()) << "told once";
  EXPECT_TRUE(stream.query().ok());
}

TEST(HostStreamTest, SaysThatItIsBusy) {
  HostStream stream;
  std::promise<void> go;
  stream.push([&] {
    go.get_future().wait();
    return Status();
  });
  Status busy = stream.query();
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code(), Code::InProgress);
  go.set_value();
  EXPECT_TRUE(stream.synchronize().ok());
}

TEST(HostStreamTest, CannotWaitForItself) {
  HostStream stream;
  Status inner;
  stream.push([&] {
    inner = stream.synchronize();
    return Status();
  });
  EXPECT_TRUE(stream.synchronize().ok());
  ASSERT_FALSE(inner.ok());
  EXPECT_EQ(inner.error().code(), Code::InvalidUsage);
}

TEST(HostStreamTest, FinishesWhatIsQueuedBeforeItGoes) {
  std::atomic<int> done{0};
  {
    HostStream stream;
    for (int i = 0; i < 50; ++i) {
      stream.push([&] {
        ++done;
        return Status();
      });
    }
  }
  EXPECT_EQ(done, 50);
}

TEST(TurnTest, TicketsAreServedInOrder) {
  Communicator comm(1, 0, CommOptions());
  constexpr int kWork = 60;
  std::vector<uint64_t> tickets;
  for (int i = 0; i < kWork; ++i) tickets.push_back(comm.takeTicket());
  std::vector<int> order;
  std::vector<std::thread> threads;
  for (int i = kWork - 1; i >= 0; --i) {
    threads.emplace_back([&, i] {
      Turn turn(comm, tickets[static_cast<size_t>(i)]);
      order.push_back(i);
    });
  }
  {
    Turn now(comm);  // comes behind all that was queued
    ASSERT_EQ(order.size(), static_cast<size_t>(kWork));
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kWork; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(TopologyViewTest, NamesRanksThatFoundAnotherGraph) {
  EXPECT_EQ(describeDifference(std::vector<uint64_t>{7, 7, 7}), "");
  EXPECT_EQ(describeDifference(std::vector<uint64_t>{7, 8, 7, 9}).find("ranks 1, 3 found another graph"), 0u);
  std::vector<uint64_t> many(20, 1);
  many[0] = 0;
  EXPECT_NE(describeDifference(many).find("8 and 11 more"), std::string::npos);
}

TEST(TopologyViewTest, IgnoredAffinityIsNoPlace) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const TopologyNote bound = noteTopology();
  EXPECT_EQ(bound.place.cpu, cpu);
  EXPECT_GE(bound.place.l3, 0);
  setenv("NCCL_IGNORE_CPU_AFFINITY", "1", 1);
  params::reload();
  const TopologyNote anywhere = noteTopology();
  EXPECT_EQ(anywhere.place, topology::RankPlace());
  EXPECT_EQ(anywhere.machine.machine, bound.machine.machine) << "the machine is the same";
  unsetenv("NCCL_IGNORE_CPU_AFFINITY");
  params::reload();
  sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace
}  // namespace tutti::comm
