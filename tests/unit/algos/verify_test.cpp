// The verifier: the matrix of all built-in plans, and single faults with the words that explain them.
#include "algos/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

using ::testing::HasSubstr;
using testing::optionsFor;
using testing::requestFor;

TEST(Verify, AllAlgorithmsCollectivesRanksCountsRoots) {
  MatrixOptions options;
  options.threads = 2;
  if (testing::kSanitized) {
    options.maxRanks = 9;
    options.largeRanks.clear();
  }
  uint64_t cases = 0;
  for (const MatrixRow& row : verifyMatrix(options)) {
    EXPECT_EQ(row.failed, 0u) << row.firstFailure;
    cases += row.cases;
  }
  EXPECT_GT(cases, testing::kSanitized ? 1'000u : 50'000u);
}

TEST(Verify, EveryCollectiveHasAnAlgorithmWithoutBoards) {
  Limits limits = matrixLimits(4);
  limits.boards = false;
  for (int c = 0; c <= static_cast<int>(Collective::AllToAllV); ++c) {
    const Request request = requestFor(static_cast<Collective>(c), 4, 10);
    bool any = false;
    for (const Builder& builder : builtinAlgorithms())
      any |= builder.supports(request, Protocol::Simple, limits);
    EXPECT_TRUE(any) << nameOf(request.collective);
  }
}

/// Plans to spoil.
std::vector<Plan> plansOf(const Request& request, Algorithm algorithm, Protocol protocol = Protocol::Simple) {
  auto plans = buildPlans(request, algorithm, protocol, matrixLimits(request.nRanks));
  EXPECT_TRUE(plans.ok());
  return std::move(*plans);
}

std::string complaint(const std::vector<Plan>& plans) {
  Status status = verifyPlans(plans, optionsFor(static_cast<int>(plans.size())));
  return status.ok() ? "none" : status.error().message();
}

TEST(Verify, LostContribution) {
  auto plans = plansOf(requestFor(Collective::Reduce, 4, 100), Algorithm::Ring);
  Step& step = plans[2].lanes[0].steps[0];
  step.src = {};
  step.reduces = false;  // relays instead of adding its own
  EXPECT_THAT(complaint(plans), HasSubstr("finishes a result that is not complete: the sum of ranks"));
}

TEST(Verify, MissingFinish) {
  auto plans = plansOf(requestFor(Collective::AllReduce, 4, 100), Algorithm::Ring);
  plans[1].lanes[0].steps[2].finishes = false;
  EXPECT_THAT(complaint(plans), HasSubstr("is not finished"));
}

TEST(Verify, DeadlockNamesWhoWaitsForWhom) {
  auto other = plansOf(requestFor(Collective::AllReduce, 3, 10), Algorithm::OneShot);
  EXPECT_EQ(complaint(other), "none");
  other[1].lanes[0].steps.erase(other[1].lanes[0].steps.begin());
  EXPECT_THAT(complaint(other),
              HasSubstr("deadlock: rank 0, lane 0, step 2 (readReduceCopy), round 1, waits for rank 1 "
                        "to publish"));
}

TEST(Verify, BitwiseInequalityOfTheSameSum) {
  // Three ranks, each gathers the others' inputs itself, in an order of its own.
  Request request = requestFor(Collective::AllReduce, 3, 10);
  std::vector<Plan> plans = plansOf(request, Algorithm::Tree);
  for (Plan& plan : plans) {
    const int r = plan.rank, next = (r + 1) % 3, prev = (r + 2) % 3;
    const BlockRef in{Buffer::Input, {}, 1}, out{Buffer::Output, {}, 1};
    Step send, fold;
    send.src = in;
    send.sendTo.add({next, 0, 0});
    send.sendTo.add({prev, 0, 0});
    fold.src = in;
    fold.reduces = fold.finishes = true;
    fold.recvFrom.add({next, 0, 0});
    fold.recvFrom.add({prev, 0, 0});
    fold.dst = out;
    plan.lanes = {Lane{0, 0, 1, {send, fold}}};
  }
  EXPECT_THAT(complaint(plans), HasSubstr("not bitwise equal on ranks 0 and 1"));
}

TEST(Verify, RingNeedsTwoSlots) {
  auto plans = plansOf(requestFor(Collective::AllReduce, 4, 1000), Algorithm::Ring);
  VerifyOptions options = optionsFor(4);
  options.limits.depth = 1;
  Status status = verifyPlans(plans, options);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr("deadlock"));
}

TEST(Verify, MessageThatNobodyTakes) {
  auto plans = plansOf(requestFor(Collective::Broadcast, 3, 10), Algorithm::Tree);
  plans[2].lanes[0].steps[0].sendTo.add({1, 0, 0});
  EXPECT_THAT(complaint(plans), HasSubstr("nobody takes its message"));
}

TEST(Verify, MessageLargerThanItsSlot) {
  auto plans = plansOf(requestFor(Collective::Broadcast, 3, 1000), Algorithm::Ring);
  for (Plan& plan : plans) plan.chunkCount *= 2;
  EXPECT_THAT(complaint(plans), HasSubstr("does not fit a slot of 256"));
}

TEST(Verify, BoardSlotTooSmall) {
  for (Protocol protocol : {Protocol::Simple, Protocol::LL}) {
    auto plans = plansOf(requestFor(Collective::AllToAll, 4, 1000), Algorithm::OneShot, protocol);
    for (Plan& plan : plans) plan.chunkCount *= 2;
    EXPECT_THAT(complaint(plans), HasSubstr("of a board slot of"));
  }
}

TEST(Verify, PublicationForTheWrongReader) {
  auto plans = plansOf(requestFor(Collective::Gather, 4, 100), Algorithm::OneShot);
  plans[2].lanes[0].steps[0].publishFor = 1;
  EXPECT_THAT(complaint(plans), HasSubstr("published for rank 1 alone"));
}

// What the engine's rule for reading the input in place excludes is refused when the rule is not told.
TEST(Verify, InputOverwrittenWhilePeersReadItInPlace) {
  auto plans = plansOf(requestFor(Collective::AllReduce, 3, 1000, 0, true), Algorithm::OneShot);
  EXPECT_EQ(complaint(plans), "none");
  for (Plan& plan : plans) plan.algorithm = Algorithm::TwoShot;
  EXPECT_THAT(complaint(plans), HasSubstr("nothing orders the two"));
}

TEST(Verify, AllToAllInPlaceIsARace) {
  for (Algorithm algorithm : {Algorithm::Pairwise, Algorithm::OneShot}) {
    auto plans = plansOf(requestFor(Collective::AllToAll, 4, 1000, 0, true), algorithm);
    EXPECT_NE(complaint(plans), "none") << nameOf(algorithm);
  }
}

TEST(Verify, TwoLanesOnOneConnection) {
  auto plans = plansOf(requestFor(Collective::AllReduce, 4, 1000), Algorithm::Tree);
  for (Plan& plan : plans) {
    for (Lane& lane : plan.lanes) lane.channel = 0;
  }
  EXPECT_THAT(complaint(plans), HasSubstr("order would be left to chance"));
}

TEST(Verify, RefusesWhatTheEngineWouldNotPlay) {
  const Request request = requestFor(Collective::AllReduce, 4, 100);
  auto spoil = [&](auto change, const char* words) {
    auto plans = plansOf(request, Algorithm::Ring);
    change(plans[1], plans[1].lanes[0].steps);
    EXPECT_THAT(complaint(plans), HasSubstr(words));
  };
  using Steps = std::vector<Step>&;
  spoil([](Plan&, Steps s) { s[0].repeat = 0; }, "repeated 0 times");
  spoil([](Plan&, Steps s) { s[0].sendTo.peer[0].base = 1; }, "sends to itself");
  spoil([](Plan&, Steps s) { s[0].sendTo.peer[0].base = 4; }, "does not exist");
  spoil([](Plan&, Steps s) { s[0].sendTo.add(s[0].sendTo.peer[0]); }, "twice in one play");
  spoil([](Plan&, Steps s) { s[0].src.index.base = 4; }, "its source is block 4");
  spoil([](Plan&, Steps s) { s[4].dst.buffer = Buffer::Input; }, "writes the input");
  spoil([](Plan&, Steps s) { s[0].publishes = true; }, "uses boards");
  spoil([](Plan& p, Steps) { p.lanes[0].steps.clear(); }, "has no steps");
  spoil([](Plan& p, Steps) { p.lanes[0].channel = 9; }, "no channel 9");
  spoil([](Plan& p, Steps) { p.rank = 2; }, "plan 1 is rank 2's");
  spoil([](Plan& p, Steps) { p.request.count = 101; }, "plans for different calls");
  EXPECT_NE(complaint({}), "none");
}

}  // namespace
}  // namespace tutti::algos
