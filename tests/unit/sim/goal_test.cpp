// GOAL schedules: read, written, played; errors with their lines.
#include "sim/goal.hpp"

#include <gtest/gtest.h>

namespace tutti::sim {
namespace {

using namespace algos;  // NOLINT

constexpr const char* kPingPong = R"(num_ranks 2
rank 0 {
  l1: calc 100
  l2: send 1000b to 1 tag 7 cpu 0
  l3: recv 1000b from 1 tag 8
  l2 requires l1
}
rank 1 {
  a: recv 1000b from 0 tag 7
  b: send 1000b to 0 tag 8
  b requires a
}
)";

TEST(Goal, PingPongByHand) {
  auto goal = parseGoal(kPingPong);
  ASSERT_TRUE(goal.ok()) << goal.error().message();
  IdealNetwork net(2, {1, 2, 0});
  auto report = simulateGoal(net, *goal, 0.5, 0.25);
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(report->end, 100'000 + 2 * (500'000 + 1'000'000 + 2'000'000 + 250'000));
  EXPECT_EQ(report->messages, 2u);
  EXPECT_EQ(report->operations, 5u);
}

TEST(Goal, RoundTrip) {
  auto goal = parseGoal(kPingPong);
  const std::string text = toText(*goal);
  auto again = parseGoal(text);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(toText(*again), text);
}

TEST(Goal, ErrorsNameTheLine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"rank 0 {\n}\n", "line 1: a schedule starts with num_ranks"},
      {"num_ranks -3\n", "line 1: num_ranks is \"-3\""},
      {"num_ranks 2\nrank 2 {\n}\n", "line 2: rank 2 is not below"},
      {"num_ranks 2\nrank 0 {\nl1: calc -5\n}\n", "line 3: calc is \"-5\""},
      {"num_ranks 2\nrank 0 {\nl1: send 10 to 1\n}\n", "line 3: l1: a size is like 1024b"},
      {"num_ranks 2\nrank 0 {\nl1: send 10b to 0\n}\n", "line 3: l1: a rank sends nothing to itself"},
      {"num_ranks 2\nrank 0 {\nl1: jump 10\n}\n", "line 3: l1: \"jump\""},
      {"num_ranks 2\nrank 0 {\nl1: calc 1\nl1: calc 2\n}\n", "line 4: label l1 stands twice"},
      {"num_ranks 2\nrank 0 {\nl1: calc 1\nl1 requires l9\n}\n", "line 4: there is no label l9"},
      {"num_ranks 2\nrank 0 {\nl1: calc 1\n", "line 3: rank 0 has no closing"},
      {"num_ranks 2\nrank 0 {\nl1: send 18446744073709551616b to 1\n}\n", "line 3: the size"},
      {"", "there is no num_ranks"},
  };
  for (const auto& [text, expected] : kCases) {
    auto goal = parseGoal(text);
    ASSERT_FALSE(goal.ok()) << text;
    EXPECT_NE(goal.error().message().find(expected), std::string::npos) << goal.error().message();
  }
}

TEST(Goal, WaitingForNobodyIsTold) {
  auto goal = parseGoal("num_ranks 2\nrank 0 {\nl1: recv 8b from 1 tag 3\n}\nrank 1 {\n}\n");
  IdealNetwork net(2, {});
  auto report = simulateGoal(net, *goal, 0, 0);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message().find("rank 0 waits for rank 1 to send (tag 3)"), std::string::npos);
}

TEST(Goal, ExportTakesTheSameTime) {
  Options o;
  o.costs.sendUs = 0.3;
  o.costs.recvUs = 0.2;
  o.costs.reduceGBps = 250;
  for (auto algorithm : {Algorithm::Ring, Algorithm::Tree, Algorithm::RecursiveDoubling}) {
    for (int n : {2, 5, 8}) {
      Request r;
      r.nRanks = n;
      r.count = 40'000;
      Limits limits;
      limits.slotBytes = 64 << 10;
      limits.depth = 16;  // GOAL knows no depth
      const Workload w = Workload::single(r, algorithm, Protocol::Simple, limits);
      IdealNetwork net(n, {40, 1, 0});
      auto plain = simulate(net, w, o);
      auto goal = goalOf(w, o.costs);
      ASSERT_TRUE(goal.ok()) << goal.error().message();
      auto parsed = parseGoal(toText(*goal));
      ASSERT_TRUE(parsed.ok()) << parsed.error().message();
      auto played = simulateGoal(net, *parsed, 0, 0);
      ASSERT_TRUE(played.ok()) << played.error().message();
      EXPECT_EQ(played->messages, plain->messages);
      // calc is in whole nanoseconds.
      EXPECT_NEAR(usFromPs(played->end), usFromPs(plain->end), 0.05) << nameOf(algorithm) << " " << n;
    }
  }
}

}  // namespace
}  // namespace tutti::sim
