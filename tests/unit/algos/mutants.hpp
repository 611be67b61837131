// Mutants: plans with one fault.
#pragma once

#include <string>
#include <vector>

#include "algos/text.hpp"

namespace tutti::algos::testing {

struct Mutant {
  const char* kind;
  std::vector<Plan> plans;
  std::string what;
};

/// All single-fault variants of rank `r`'s plan.
inline std::vector<Mutant> mutantsOf(const std::vector<Plan>& plans, int r) {
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

}  // namespace tutti::algos::testing
