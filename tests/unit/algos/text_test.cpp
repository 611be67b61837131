#include "algos/text.hpp"

#include <gtest/gtest.h>

#include <random>

#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

using testing::forEachPlanSet;

TEST(PlanText, PatternsAndScratch) {
  const std::string text =
      "plan AllToAll ranks=2 rank=0 count=10 type=float op=sum root=0 algorithm=bruck protocol=simple "
      "layout=perRank blocks=8 chunk=4 boards=no inplace=no scratch=4\n"
      "lane channel=0 part=0/1\n"
      "  copy input[6+1k mod 8 + 3 span 4 run 2 jump -2] into scratch[0 span 4 pace 2] x2\n";
  auto plan = parsePlan(text);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(plan->scratchBlocks, 4);
  const BlockRef& src = plan->lanes[0].steps[0].src;
  EXPECT_EQ(std::vector<int>({src.at(1, 0), src.at(1, 1), src.at(1, 2), src.at(1, 3)}),
            std::vector<int>({10, 11, 8, 9}));
  EXPECT_EQ(plan->lanes[0].steps[0].dst.at(0, 3), 6);
  EXPECT_EQ(toText(*plan), text);
}

TEST(PlanText, EveryPlanRoundTrips) {
  int plans = 0;
  for (int n : {2, 3, 4, 5, 8, 13}) {
    forEachPlanSet(n, 1000, [&](const Request&, Algorithm, Protocol, std::vector<Plan> set) {
      for (const Plan& plan : set) {
        const std::string text = toText(plan);
        auto back = parsePlan(text);
        ASSERT_TRUE(back.ok()) << text << back.error().message();
        EXPECT_EQ(*back, plan) << text;
        EXPECT_EQ(toText(*back), text);
        ++plans;
      }
    });
  }
  EXPECT_GT(plans, 1000);
}

TEST(PlanText, ReadsLikeTheAlgorithm) {
  auto plan = buildPlan(testing::requestFor(Collective::AllReduce, 4, 1000), Algorithm::Ring,
                        Protocol::Simple, 3, matrixLimits(4));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(
      toText(*plan),
      "plan AllReduce ranks=4 rank=3 count=1000 type=float op=sum root=0 algorithm=ring protocol=simple "
      "layout=split blocks=4 chunk=64 boards=no inplace=no\n"
      "lane channel=0 part=0/1\n"
      "  send input[3] to 0\n"
      "  recvReduceSend input[2-1k mod 4] from 2 peerFirst to 0 x2\n"
      "  recvReduceCopySend input[0-1k mod 4] from 2 peerFirst finish into output[0-1k mod 4] to 0\n"
      "  recvCopySend from 2 into output[3-1k mod 4] to 0 x2\n"
      "  recv from 2 into output[1-1k mod 4]\n");
}

TEST(PlanText, SeveralPlansCommentsAndBlankLines) {
  auto plans = buildPlans(testing::requestFor(Collective::AllReduce, 3, 10), Algorithm::Tree, Protocol::LL,
                          matrixLimits(3));
  ASSERT_TRUE(plans.ok());
  std::string text = "# three ranks\n\n";
  for (const Plan& plan : *plans) text += toText(plan) + "\n  # next\n";
  auto back = parsePlans(text);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(*back, *plans);
  EXPECT_FALSE(parsePlan(text).ok());
}

struct Bad {
  const char* line;    ///< put as line 3, the first step
  const char* reason;  ///< part of the message
};

TEST(PlanText, BadStepsNameTheLineAndTheReason) {
  const std::string head =
      "plan AllReduce ranks=4 rank=0 count=8 type=float op=sum root=0 algorithm=ring protocol=simple "
      "layout=split "
      "blocks=4 chunk=64 boards=no inplace=no\nlane channel=0 part=0/1\n";
  const Bad kBad[] = {
      {"send input[0]", "its parts make it"},
      {"recv input[0] to 1", "its parts make it"},
      {"send input[0] to", "no rank stands after 'to'"},
      {"send input[0] to 1 2 3 1 2", "more than 4 ranks"},
      {"send input[x] to 1", "not like 3, 3-1k"},
      {"send input[0 mod 0] to 1", "not like 3, 3-1k"},
      {"send input[99999999999] to 1", "not like 3, 3-1k"},
      {"send input[0 span 0] to 1", "span"},
      {"send middle[0] to 1", "none of input, output and scratch"},
      {"send input[0] input[1] to 1", "second local block"},
      {"send input[0] to 1 to 2", "stands twice"},
      {"send input[0] to 1 x0", "once or more"},
      {"send input[0] to 1 please", "'please' is no part"},
      {"publish input[0] on board 0", "'for' must stand after 'board'"},
      {"publish input[0] on table 0 for all", "'board' must stand after 'on'"},
      {"publish input[0] on board 300 for all", "not the number of a board"},
      {"publish input[0] on board 0 for -3", "neither 'all' nor a rank"},
      {"plan AllReduce ranks=4", "the header lacks"},
      {"plan Nothing", "not the name of a collective"},
      {"plan AllReduce ranks=0", "ranks=0"},
      {"lane part=2/2", "part=2/2"},
      {"lane part=0/0", "part=0/0"},
      {"lane size=1", "unknown in a lane"},
      {"lane channel", "key=value"},
  };
  for (const Bad& bad : kBad) {
    auto plans = parsePlans(head + bad.line);
    ASSERT_FALSE(plans.ok()) << bad.line;
    EXPECT_EQ(plans.error().message().rfind("line 3: ", 0), 0u) << plans.error().message();
    EXPECT_NE(plans.error().message().find(bad.reason), std::string::npos) << plans.error().message();
  }
  EXPECT_FALSE(parsePlan("").ok());
  EXPECT_FALSE(parsePlan("lane channel=0 part=0/1\n").ok());
  EXPECT_FALSE(parsePlan("send input[0] to 1\n").ok());
}

// Whatever the text is: an error, or plans that the verifier can judge. Nothing crashes or runs for long.
TEST(PlanText, MutatedTextIsReadOrRefused) {
  std::mt19937 random(7);
  std::vector<std::string> texts;
  forEachPlanSet(3, 100, [&](const Request&, Algorithm, Protocol, std::vector<Plan> set) {
    std::string text;
    for (const Plan& plan : set) text += toText(plan);
    texts.push_back(std::move(text));
  });
  const std::string alphabet = "0123456789-+kx[]()= \n/modspanbord";
  int parsed = 0, proved = 0;
  VerifyOptions options = testing::optionsFor(3);
  options.maxPlays = 2000;
  for (int i = 0; i < 20000; ++i) {
    std::string text = texts[random() % texts.size()];
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        default:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
      }
      if (text.empty()) text = "x";
    }
    auto plans = parsePlans(text);
    if (!plans.ok()) {
      EXPECT_EQ(plans.error().message().rfind("line ", 0), 0u) << plans.error().message();
      continue;
    }
    ++parsed;
    // Sizes that a file may name but no test should play.
    bool small = true;
    for (const Plan& plan : *plans) small &= plan.request.count < 100'000 && plan.nBlocks < 1000;
    for (const Plan& plan : *plans) {
      for (const Lane& lane : plan.lanes) {
        small &= plan.rounds(lane) < 1000;
        for (const Step& step : lane.steps) small &= step.repeat < 1000;
      }
    }
    if (small) proved += verifyPlans(*plans, options).ok();
  }
  EXPECT_GT(parsed, 100);
  EXPECT_GT(proved, 10);  // edits of blanks and the like leave a plan right
}

TEST(PlanText, GarbageIsRefused) {
  std::mt19937 random(11);
  for (int i = 0; i < 5000; ++i) {
    std::string text(random() % 200, ' ');
    for (char& c : text) c = static_cast<char>(random());
    EXPECT_FALSE(parsePlans(text).ok());
    EXPECT_FALSE(parsePlans("plan AllReduce " + text).ok());
  }
}

}  // namespace
}  // namespace tutti::algos
