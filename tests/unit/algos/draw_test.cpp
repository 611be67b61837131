// Pictures of plans: every message and read has an arrow, every play a mark.
#include "algos/draw.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

size_t timesIn(const std::string& text, std::string_view what) {
  size_t times = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++times;
  return times;
}

TEST(Draw, EveryAlgorithm) {
  for (int n : {2, 5, 8}) {
    testing::forEachPlanSet(n, 40, [&](const Request& request, Algorithm algorithm, Protocol, auto plans) {
      size_t arrows = 0, plays = 0;
      for (const Plan& plan : plans) {
        for (const Lane& lane : plan.lanes) {
          for (const Step& step : lane.steps) {
            plays += static_cast<size_t>(step.repeat);
            arrows += static_cast<size_t>(step.repeat) * static_cast<size_t>(step.recvFrom.count);
            if (step.readFrom == Reads::One) arrows += static_cast<size_t>(step.repeat);
            if (step.readFrom == Reads::All) arrows += static_cast<size_t>(step.repeat * (n - 1));
          }
        }
      }
      Result<std::string> svg = drawSvg(plans);
      ASSERT_TRUE(svg.ok()) << nameOf(request.collective) << " " << nameOf(algorithm);
      EXPECT_THAT(*svg, StartsWith("<svg"));
      EXPECT_EQ(timesIn(*svg, "marker-end"), arrows);
      EXPECT_EQ(timesIn(*svg, "<title>"), plays);
    });
  }
}

TEST(Draw, RefusesWhatHasNoPicture) {
  auto plans = buildPlans(testing::requestFor(Collective::AllReduce, 3, 40), Algorithm::Ring,
                          Protocol::Simple, matrixLimits(3));
  ASSERT_TRUE(plans.ok());
  auto stuck = *plans;
  stuck[1].lanes[0].steps.erase(stuck[1].lanes[0].steps.begin());
  ASSERT_FALSE(drawSvg(stuck).ok());
  EXPECT_THAT(drawSvg(stuck).error().message(), HasSubstr("waits for ever"));
  plans->pop_back();
  EXPECT_FALSE(drawSvg(*plans).ok());
  EXPECT_FALSE(drawSvg({}).ok());
}

}  // namespace
}  // namespace tutti::algos
