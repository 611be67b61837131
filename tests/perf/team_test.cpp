#include "common/team.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tutti::perf {
namespace {

using ::testing::ElementsAre;

TEST(Team, ThreadsMeetAndCombine) {
  constexpr int kThreads = 4;
  Team team(launch::World{}, nullptr, kThreads);
  std::atomic<int> arrived = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 200; ++round) {
        arrived.fetch_add(1);
        ASSERT_TRUE(team.barrier(t).ok());
        ASSERT_GE(arrived.load(), kThreads * (round + 1));
        double value = t + round;
        ASSERT_EQ(*team.combine(t, value, Combine::Sum), 6 + 4 * round);
        ASSERT_EQ(*team.combine(t, value, Combine::Mean), 1.5 + round);
        ASSERT_EQ(*team.combine(t, value, Combine::Min), round);
        ASSERT_EQ(*team.combine(t, value, Combine::Max), 3 + round);
        ASSERT_EQ(*team.combine(t, value, Combine::Rank0), round);
        auto most = team.gatherMax(t, {value, -value});
        ASSERT_TRUE(most.ok());
        ASSERT_THAT((*most)[0], ElementsAre(3 + round, -round));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace tutti::perf
