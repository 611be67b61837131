#include "control/job_deaths.hpp"

#include <gtest/gtest.h>

namespace tutti::control {
namespace {

TEST(JobDeaths, ReadsCompleteLinesBehindTheHead) {
  const auto deaths = parseDeaths(
      "cafe\n2 4711 was killed by signal 9 (Killed)\n0 12 ended with exit status 3\n1 13 was kil", "cafe");
  ASSERT_EQ(deaths.size(), 2u);
  EXPECT_EQ(deaths[0].rank, 2);
  EXPECT_EQ(deaths[0].pid, 4711);
  EXPECT_EQ(deaths[0].how, "was killed by signal 9 (Killed)");
  EXPECT_EQ(deaths[1].how, "ended with exit status 3");
}

TEST(JobDeaths, OfAnotherJobOrDamagedSayNothing) {
  EXPECT_TRUE(parseDeaths("", "cafe").empty());
  EXPECT_TRUE(parseDeaths("cafe", "cafe").empty());
  EXPECT_TRUE(parseDeaths("beef\n2 4711 was killed\n", "cafe").empty());
  EXPECT_TRUE(parseDeaths("cafe\nx 4711 was killed\n3 y was killed\n4 5\n\n", "cafe").empty());
}

}  // namespace
}  // namespace tutti::control
