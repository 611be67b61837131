// Mutants: plans with one fault. Each is refused by the verifier unless a play of the mutant, in which
// nothing is checked but the outputs, shows that it still does the same.
#include <gtest/gtest.h>

#include <map>

#include "algos/text.hpp"
#include "concrete_player.hpp"
#include "plan_kit.hpp"

namespace tutti::algos {
namespace {

struct Mutant {
  const char* kind;
  std::vector<Plan> plans;
  std::string what;
};

/// All single-fault variants of rank `r`'s plan.
std::vector<Mutant> mutantsOf(const std::vector<Plan>& plans, int r) {
  std::vector<Mutant> mutants;
  const int n = static_cast<int>(plans.size());
  auto add = [&](const char* kind, const std::string& step, auto change) {
    Mutant mutant{kind, plans, ""};
    change(mutant.plans[r]);
    if (mutant.plans == plans) return;
    mutant.what = fmt::format("{} {}/{}, rank {}: {}: {}", nameOf(plans[r].request.collective),
                              nameOf(plans[r].algorithm), nameOf(plans[r].protocol), r, kind, step);
    mutants.push_back(std::move(mutant));
  };
  if (plans[r].scratchBlocks > 0) add("less scratch", "", [](Plan& plan) { --plan.scratchBlocks; });
  for (size_t l = 0; l < plans[r].lanes.size(); ++l) {
    const Lane& lane = plans[r].lanes[l];
    for (size_t s = 0; s < lane.steps.size(); ++s) {
      const Step& step = lane.steps[s];
      const std::string text = toText(step);
      auto edit = [&](const char* kind, auto change) {
        add(kind, text, [&](Plan& plan) { change(plan.lanes[l].steps[s]); });
      };
      add("dropped", text, [&](Plan& plan) {
        auto& steps = plan.lanes[l].steps;
        steps.erase(steps.begin() + static_cast<long>(s));
        if (steps.empty()) plan.lanes.erase(plan.lanes.begin() + static_cast<long>(l));
      });
      add("doubled", text, [&](Plan& plan) {
        auto& steps = plan.lanes[l].steps;
        steps.insert(steps.begin() + static_cast<long>(s), step);
      });
      if (s + 1 < lane.steps.size()) {
        add("swapped", text,
            [&](Plan& plan) { std::swap(plan.lanes[l].steps[s], plan.lanes[l].steps[s + 1]); });
      }
      edit("repeat+1", [](Step& x) { ++x.repeat; });
      if (step.repeat > 1) edit("repeat-1", [](Step& x) { --x.repeat; });
      if (step.recvFrom.count > 0) {
        edit("from", [&](Step& x) { x.recvFrom.peer[0].base = (x.recvFrom.peer[0].base + 1) % n; });
        edit("less from", [](Step& x) { --x.recvFrom.count; });
      }
      if (step.sendTo.count > 0) {
        edit("to", [&](Step& x) { x.sendTo.peer[0].base = (x.sendTo.peer[0].base + 1) % n; });
        edit("less to", [](Step& x) { --x.sendTo.count; });
      }
      if (step.recvFrom.count > 1) {
        edit("from swapped", [](Step& x) { std::swap(x.recvFrom.peer[0], x.recvFrom.peer[1]); });
      }
      if (step.src.buffer != Buffer::None) {
        edit("source", [&](Step& x) { x.src.index.base = (x.src.index.base + 1) % std::max(2, n); });
        edit("source buffer",
             [](Step& x) { x.src.buffer = x.src.buffer == Buffer::Input ? Buffer::Output : Buffer::Input; });
      }
      if (step.dst.buffer != Buffer::None) {
        edit("destination", [&](Step& x) { x.dst.index.base = (x.dst.index.base + 1) % std::max(2, n); });
        edit("no destination", [](Step& x) { x.dst = {}; });
      }
      for (BlockRef Step::*ref : {&Step::src, &Step::dst}) {
        const char* which = ref == &Step::src ? "source pattern" : "destination pattern";
        if ((step.*ref).span > 1) {
          edit(which, [&](Step& x) { --(x.*ref).span; });
          edit(which, [&](Step& x) { (x.*ref).pace *= -1; });
        }
        if ((step.*ref).run > 0) {
          edit(which, [&](Step& x) { ++(x.*ref).run; });
          edit(which, [&](Step& x) { (x.*ref).jump *= -1; });
        }
        if ((step.*ref).index.offset != 0) edit(which, [&](Step& x) { (x.*ref).index.offset = 0; });
      }
      if (step.src.index.stride != 0) edit("stride", [](Step& x) { x.src.index.stride *= -1; });
      if (step.dst.index.stride != 0) edit("stride", [](Step& x) { x.dst.index.stride *= -1; });
      if (step.reduces) {
        edit("order",
             [](Step& x) { x.order = x.order == Order::LocalFirst ? Order::PeerFirst : Order::LocalFirst; });
        edit("finish", [](Step& x) { x.finishes = !x.finishes; });
        edit("not reducing", [](Step& x) { x.reduces = false; });
      }
      if (step.readFrom == Reads::One) {
        edit("reads", [&](Step& x) { x.readPeer.base = (x.readPeer.base + 1) % n; });
      }
      if (step.readFrom != Reads::None) {
        edit("read block", [](Step& x) { ++x.readBlock.base; });
        edit("read board", [](Step& x) { x.readChannel ^= 1; });
      }
      if (step.publishes) {
        edit("publish for", [&](Step& x) { x.publishFor = x.publishFor < 0 ? (r + 1) % n : -1; });
        edit("publish board", [](Step& x) { x.publishChannel ^= 1; });
      }
    }
  }
  return mutants;
}

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
  for (int n : {2, 3, 4, 6}) {
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
  EXPECT_GT(sum.changed, 5000);
}

}  // namespace
}  // namespace tutti::algos
