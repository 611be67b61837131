// Mutants: plans with one fault. Each is refused by the verifier unless a play of the mutant, in which
// nothing is checked but the outputs, shows that it still does the same.
#include <gtest/gtest.h>

#include <map>

#include "concrete_player.hpp"
#include "mutants.hpp"
#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

using testing::Mutant;
using testing::mutantsOf;

/// Whether some order of play gives another result than `plans`, or none. Sums must be the same words; where
/// the operator does not associate, AllReduce must give all ranks the same words.
bool changesTheResult(const std::vector<Plan>& mutant, const std::vector<Plan>& plans) {
  using testing::ConcretePlayer;
  const int n = static_cast<int>(plans.size());
  const int depth = matrixLimits(n).depth;
  ConcretePlayer right(plans, depth, 1, false, false);
  EXPECT_TRUE(right.run());
  for (unsigned seed = 1; seed <= 3; ++seed) {
    ConcretePlayer player(mutant, depth, seed, false, seed != 1);
    if (!player.run()) return true;
    for (int r = 0; r < n; ++r) {
      if (player.output(r) != right.output(r)) return true;
    }
  }
  if (plans[0].request.collective != Collective::AllReduce) return false;
  ConcretePlayer player(mutant, depth, 9, true, true);
  if (!player.run()) return true;
  for (int r = 1; r < n; ++r) {
    if (player.output(r) != player.output(0)) return true;
  }
  return false;
}

TEST(Mutation, FaultyPlansAreRefused) {
  struct Score {
    int changed = 0, refused = 0, harmless = 0, harmlessRefused = 0;
  };
  std::map<std::string, Score> byKind;
  for (int n : testing::kSanitized ? std::vector<int>{3} : std::vector<int>{2, 3, 4, 6}) {
    testing::forEachPlanSet(n, 32 * n + 5, [&](const Request&, Algorithm, Protocol, std::vector<Plan> plans) {
      ASSERT_TRUE(verifyPlans(plans, testing::optionsFor(n)).ok());
      ASSERT_FALSE(changesTheResult(plans, plans));
      for (int r = 0; r < n; ++r) {
        for (const Mutant& mutant : mutantsOf(plans, r)) {
          const bool caught = !verifyPlans(mutant.plans, testing::optionsFor(n)).ok();
          Score& score = byKind[mutant.kind];
          if (changesTheResult(mutant.plans, plans)) {
            ++score.changed;
            score.refused += caught;
            EXPECT_TRUE(caught) << mutant.what;
          } else {
            ++score.harmless;
            score.harmlessRefused += caught;
          }
        }
      }
    });
  }
  Score sum;
  for (const auto& [kind, score] : byKind) {
    printf("  %-16s %5d change the result, %5d of them refused; %4d do not, %4d of them refused\n",
           kind.c_str(), score.changed, score.refused, score.harmless, score.harmlessRefused);
    sum.changed += score.changed;
    sum.refused += score.refused;
    sum.harmless += score.harmless;
    sum.harmlessRefused += score.harmlessRefused;
  }
  printf(
      "mutation score: %d of %d mutants that change the result refused (%.1f %%); %d harmless ones, %d "
      "refused\n",
      sum.refused, sum.changed, 100.0 * sum.refused / sum.changed, sum.harmless, sum.harmlessRefused);
  EXPECT_GT(sum.changed, testing::kSanitized ? 500 : 5000);
}

}  // namespace
}  // namespace tutti::algos
