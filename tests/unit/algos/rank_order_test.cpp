// Plans that follow a rank order are proved like all others, and stay inside groups as far as they can.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "algos/verify.hpp"
#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

using testing::requestFor;

/// Ranks dealt to groups like cards, in each group shuffled.
std::shared_ptr<const RankOrder> dealt(int nRanks, int groups, uint32_t seed) {
  std::vector<int> ranks(static_cast<size_t>(nRanks));
  std::iota(ranks.begin(), ranks.end(), 0);
  std::shuffle(ranks.begin(), ranks.end(), std::mt19937(seed));
  std::stable_sort(ranks.begin(), ranks.end(), [&](int a, int b) { return a % groups < b % groups; });
  std::vector<int> group;
  for (int r : ranks) group.push_back(r % groups);
  return std::make_shared<const RankOrder>(RankOrder::of(std::move(ranks), std::move(group)));
}

/// Pairs of ranks that talk, each direction counted once.
std::set<std::pair<int, int>> edgesOf(const std::vector<Plan>& plans) {
  std::set<std::pair<int, int>> edges;
  for (const Plan& plan : plans)
    for (const Lane& lane : plan.lanes)
      for (const Step& step : lane.steps)
        for (int k = 0; k < step.repeat; ++k)
          for (int i = 0; i < step.sendTo.count; ++i) edges.insert({plan.rank, step.sendTo.peer[i].at(k)});
  return edges;
}

constexpr Collective kOrdered[] = {Collective::AllReduce, Collective::ReduceScatter, Collective::AllGather,
                                   Collective::Broadcast, Collective::Reduce};

TEST(RankOrder, PlansInAnyOrderAreRight) {
  for (int n : {2, 3, 4, 5, 7, 8, 12, 16, 31}) {
    for (int groups : {1, 2, 3, n}) {
      if (groups > n) continue;
      VerifyOptions options = testing::optionsFor(n);
      options.limits.order = dealt(n, groups, static_cast<uint32_t>(n * 100 + groups));
      for (Collective c : kOrdered) {
        for (int root : {0, n / 2, n - 1}) {
          for (Algorithm a : {Algorithm::Ring, Algorithm::Tree}) {
            for (bool inPlace : {false, true}) {
              const Request request = requestFor(c, n, 1000, root, inPlace);
              if (!builderOf(a).supports(request, Protocol::Simple, options.limits)) continue;
              auto plans = buildPlans(request, a, Protocol::Simple, options.limits);
              ASSERT_TRUE(plans.ok()) << plans.error().message();
              Status proof = verifyPlans(*plans, options);
              EXPECT_TRUE(proof.ok()) << nameOf(c) << " " << nameOf(a) << " n " << n << " groups " << groups
                                      << " root " << root << ": " << proof.error().message();
            }
          }
        }
      }
    }
  }
}

TEST(RankOrder, GroupsAreLeftAsSeldomAsPossible) {
  const int n = 24;
  const int groups = 4;
  Limits limits = matrixLimits(n);
  limits.order = dealt(n, groups, 7);
  for (Collective c : kOrdered) {
    for (Algorithm a : {Algorithm::Ring, Algorithm::Tree}) {
      const Request request = requestFor(c, n, 1000, 5);
      if (!builderOf(a).supports(request, Protocol::Simple, limits)) continue;
      auto plans = buildPlans(request, a, Protocol::Simple, limits);
      ASSERT_TRUE(plans.ok());
      int crossings = 0;
      for (auto [from, to] : edgesOf(*plans)) crossings += from % groups != to % groups;
      // A ring leaves each group once (a chain, all but the last, unless the root splits its group). A tree
      // has an edge per group but one, up and down and in each of the two trees for AllReduce.
      const int most = a == Algorithm::Ring         ? groups
                       : c == Collective::AllReduce ? 4 * (groups - 1)
                                                    : groups - 1;
      EXPECT_LE(crossings, most) << nameOf(c) << " " << nameOf(a);
    }
  }
}

TEST(RankOrder, ByNumberMakesThePlansThatNoOrderMakes) {
  const int n = 9;
  Limits plain = matrixLimits(n);
  Limits ordered = plain;
  std::vector<int> ranks(n);
  std::iota(ranks.begin(), ranks.end(), 0);
  ordered.order = std::make_shared<const RankOrder>(RankOrder::of(ranks, std::vector<int>(n, 0)));
  for (int rank = 0; rank < n; ++rank) {
    const Request request = requestFor(Collective::AllReduce, n, 1000);
    auto a = buildPlan(request, Algorithm::Ring, Protocol::Simple, rank, plain);
    auto b = buildPlan(request, Algorithm::Ring, Protocol::Simple, rank, ordered);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(*a, *b);
  }
}

TEST(RankOrder, OrderedRingsStayShort) {
  const int n = 256;
  Limits limits = matrixLimits(n);
  std::vector<int> ranks(n);
  for (int p = 0; p < n; ++p) ranks[static_cast<size_t>(p)] = p % 32 * 8 + p / 32;  // dealt over 8 hosts
  std::vector<int> group;
  for (int p = 0; p < n; ++p) group.push_back(p / 32);
  limits.order = std::make_shared<const RankOrder>(RankOrder::of(ranks, group));
  auto plan =
      buildPlan(requestFor(Collective::AllGather, n, 10), Algorithm::Ring, Protocol::Simple, 3, limits);
  ASSERT_TRUE(plan.ok());
  EXPECT_LE(plan->lanes[0].steps.size(), 2u * 8 + 4);
}

}  // namespace
}  // namespace tutti::algos
