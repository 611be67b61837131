// Mutants: plans with one fault. Each is refused by the verifier unless a play of the mutant, in which
// nothing is checked but the outputs, shows that it still does the same.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "algos/text.hpp"
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

/// Mutants that do what the plan does: they differ in words only.
bool isEquivalent(const Mutant& mutant, const Plan& original, int n) {
  const std::string kind = mutant.kind;
  const bool boards = original.usesBoards;
  // One op other is other op one, bit for bit; all-board reductions ignore the order.
  if (kind == "order") return true;
  // The first two of a list commute; with the local block in front, they do not.
  if (kind == "from swapped") return original.algorithm == Algorithm::Tree;
  // Copying twice, or a step whose value somebody else writes as well.
  if (kind == "doubled" || kind == "repeat+1") return true;
  // Whoever reads a board by the same rounds as before may be named or not.
  if (kind == "publish for") return boards;
  return n == 2 || kind == "swapped" || kind == "stride" || kind == "source" || kind == "destination" ||
         kind == "source buffer";
}

TEST(Mutation, FaultyPlansAreRefused) {
  std::map<std::string, std::pair<int, int>> byKind;  // refused, all
  int refused = 0, all = 0, equivalent = 0;
  for (int n : {2, 3, 4, 6}) {
    testing::forEachPlanSet(n, 64 * 3 * n + 5,
                            [&](const Request&, Algorithm, Protocol, std::vector<Plan> plans) {
                              ASSERT_TRUE(verifyPlans(plans, testing::optionsFor(n)).ok());
                              for (int r = 0; r < n; ++r) {
                                for (const Mutant& mutant : mutantsOf(plans, r)) {
                                  const bool caught = !verifyPlans(mutant.plans, testing::optionsFor(n)).ok();
                                  auto& [kindRefused, kindAll] = byKind[mutant.kind];
                                  if (!caught && isEquivalent(mutant, plans[r], n)) {
                                    ++equivalent;
                                    continue;
                                  }
                                  ++all;
                                  ++kindAll;
                                  refused += caught;
                                  kindRefused += caught;
                                  EXPECT_TRUE(caught) << mutant.what;
                                }
                              }
                            });
  }
  for (const auto& [kind, counts] : byKind) {
    printf("  %-16s %5d of %5d refused\n", kind.c_str(), counts.first, counts.second);
  }
  printf(
      "mutation score: %d of %d mutants that change the result refused (%.1f %%), %d equivalent ones set "
      "aside\n",
      refused, all, all > 0 ? 100.0 * refused / all : 0.0, equivalent);
  EXPECT_GT(all, 5000);
}

}  // namespace
}  // namespace tutti::algos
