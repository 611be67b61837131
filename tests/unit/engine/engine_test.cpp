// The host engine on plans written by hand, between ranks that are threads, without a communicator above it.
#include <gtest/gtest.h>

#include <atomic>

#include "engine/host/host_engine.hpp"
#include "unit/control/harness.hpp"

namespace tutti::engine {
namespace {

using control::testing::onThreads;
using control::testing::within;

class EngineTest : public ::testing::Test {
 protected:
  static constexpr int kRanks = 2;
  void SetUp() override {
    planes_ = control::testing::makePlanes(kRanks);
    transport::LinkOptions options;
    options.geometry.slotBytes = 4096;
    options.geometry.boardBytes = 8192;
    options.geometry.depth = 2;
    for (int rank = 0; rank < kRanks; ++rank) {
      auto made = transport::Links::create(*planes_[rank], options);
      ASSERT_TRUE(made.ok()) << made.error().message();
      links_[rank] = std::move(made).value();
      engines_[rank] = std::make_unique<HostEngine>(*links_[rank], *planes_[rank], engineOptions_);
    }
  }
  void TearDown() override {
    for (auto& engine : engines_) engine.reset();
    for (auto& link : links_) link.reset();
  }

  /// Both ranks send their input to the other and add up what comes: an AllReduce of two in one step.
  static algos::Plan exchange(int rank, size_t count) {
    algos::Plan plan;
    plan.request.collective = algos::Collective::AllReduce;
    plan.request.count = count;
    plan.request.type = DataType::Int32;
    plan.request.nRanks = kRanks;
    plan.rank = rank;
    plan.algorithm = algos::Algorithm::RecursiveDoubling;
    plan.chunkCount = 1024;
    const algos::BlockRef input{algos::Buffer::Input, {}, 1};
    const algos::BlockRef output{algos::Buffer::Output, {}, 1};
    algos::Step send;
    send.src = input;
    send.sendTo.add({1 - rank, 0, 0});
    algos::Step receive;
    receive.src = input;
    receive.recvFrom.add({1 - rank, 0, 0});
    receive.reduces = receive.finishes = true;
    receive.order = rank == 0 ? algos::Order::LocalFirst : algos::Order::PeerFirst;
    receive.dst = output;
    plan.lanes.push_back({0, 0, 1, {send, receive}});
    return plan;
  }

  Job jobOf(int rank, const algos::Plan& plan, const int* in, int* out, uint32_t signature) {
    Job job;
    job.engine = engines_[rank].get();
    job.plan = &plan;
    job.input = in;
    job.output = out;
    job.reduction = kernels::Reduction::of(DataType::Int32, ReduceOp::Sum, kRanks);
    job.signature = signature;
    return job;
  }

  EngineOptions engineOptions_;
  control::testing::Planes planes_;
  std::unique_ptr<transport::Links> links_[kRanks];
  std::unique_ptr<HostEngine> engines_[kRanks];
};

TEST_F(EngineTest, PlaysAPlanWrittenByHand) {
  for (size_t count : {size_t{1}, size_t{1023}, size_t{1024}, size_t{1025}, size_t{30'000}}) {
    onThreads(kRanks, [&](int rank) {
      const algos::Plan plan = exchange(rank, count);
      ASSERT_TRUE(engines_[rank]->bind(plan, within(5000)).ok());
      std::vector<int> in(count), out(count);
      for (size_t i = 0; i < count; ++i) in[i] = rank + static_cast<int>(i);
      const Job job = jobOf(rank, plan, in.data(), out.data(), 11);
      Status status = HostEngine::play({&job, 1});
      ASSERT_TRUE(status.ok()) << status.error().message();
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], 1 + 2 * static_cast<int>(i));
    });
  }
}

TEST_F(EngineTest, OneThreadPlaysBothRanks) {
  const algos::Plan plans[] = {exchange(0, 5000), exchange(1, 5000)};
  onThreads(kRanks, [&](int rank) { ASSERT_TRUE(engines_[rank]->bind(plans[rank], within(5000)).ok()); });
  std::vector<int> in[] = {std::vector<int>(5000, 1), std::vector<int>(5000, 2)}, out[] = {in[0], in[1]};
  Job jobs[] = {jobOf(0, plans[0], in[0].data(), out[0].data(), 11),
                jobOf(1, plans[1], in[1].data(), out[1].data(), 11)};
  Status status = HostEngine::play(jobs);
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(out[0], std::vector<int>(5000, 3));
  EXPECT_EQ(out[1], out[0]);
}

TEST_F(EngineTest, JobsThatFollowEachOtherKeepTheirOrder) {
  onThreads(kRanks, [&](int rank) {
    const algos::Plan large = exchange(rank, 9000), small = exchange(rank, 3);
    ASSERT_TRUE(engines_[rank]->bind(large, within(5000)).ok());
    std::vector<int> a(9000, 1), b(9000), c(3);
    Job jobs[] = {jobOf(rank, large, a.data(), b.data(), 11), jobOf(rank, small, b.data(), c.data(), 13)};
    jobs[1].after = 0;  // its input is the output of the first
    Status status = HostEngine::play(jobs);
    ASSERT_TRUE(status.ok()) << status.error().message();
    EXPECT_EQ(c, std::vector<int>(3, 4));
  });
}

TEST_F(EngineTest, AnotherSignatureIsAMismatchOnBothSides) {
  onThreads(kRanks, [&](int rank) {
    const algos::Plan plan = exchange(rank, 10);
    ASSERT_TRUE(engines_[rank]->bind(plan, within(5000)).ok());
    std::vector<int> in(10, 1), out(10);
    const Job job = jobOf(rank, plan, in.data(), out.data(), 11 + static_cast<uint32_t>(rank));
    Status status = HostEngine::play({&job, 1});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Code::InvalidUsage);
    EXPECT_NE(status.error().message().find("rank"), std::string::npos);
  });
}

TEST_F(EngineTest, AFaultEndsAWait) {
  const algos::Plan plan = exchange(0, 10);
  ASSERT_TRUE(engines_[0]->bind(plan, within(5000)).ok());
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    planes_[1]->raise({control::FaultKind::Aborted, 1, "rank 1 has had enough"});
  });
  std::vector<int> in(10, 1), out(10);
  const Job job = jobOf(0, plan, in.data(), out.data(), 11);
  Status status = HostEngine::play({&job, 1});
  other.join();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message().find("had enough"), std::string::npos) << status.error().message();
}

TEST(IdleTest, SpinsThenYieldsThenAsksForSleep) {
  IdlePolicy policy;
  policy.spinNs = 0;
  policy.yieldNs = 200'000;
  Idle idle(policy);
  int64_t before = 0;
  while (!idle.pause(false)) {
    EXPECT_GE(idle.waitedNs(), before);
    before = idle.waitedNs();
  }
  EXPECT_GE(idle.waitedNs(), policy.yieldNs);
  idle.reset();
  EXPECT_TRUE(idle.starting());
  EXPECT_EQ(idle.waitedNs(), 0);
  policy.yieldNs = 3'600'000'000'000;
  Idle patient(policy);
  EXPECT_FALSE(patient.pause(false));
  EXPECT_TRUE(patient.pause(false, /*mayYield=*/false));
}

}  // namespace
}  // namespace tutti::engine
