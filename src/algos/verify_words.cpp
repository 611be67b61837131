// What the symbolic player says: where something happened, and who waits for whom.
#include <algorithm>

#include "algos/verify_player.hpp"

namespace tutti::algos::verify {

std::string Player::where(const Play& play) const {
  std::string text = whereIs(play.plan, play.state.number, play.state.step) +
                     fmt::format(", round {}", play.state.round + 1);
  if (play.step.repeat > 1) text += fmt::format(", k = {}", play.state.repeat);
  return text;
}

std::string Player::where(const Event& event) const {
  const LaneState& state = lanes_[event.lane];
  return whereIs(*ranks_[state.rank].plan, state.number, event.step);
}

std::string Player::whereWaiting(const LaneState& state) const {
  const Plan& plan = *ranks_[state.rank].plan;
  return fmt::format("{}, round {}, waits for rank {} {}", whereIs(plan, state.number, state.step),
                     state.round + 1, state.waitsFor, state.waitsWhat);
}

Error Player::wrong(const Play& play, std::string what) const {
  return Error(Code::InvalidUsage, std::move(what)).context(where(play));
}

Error Player::conflictOf(const Play& play, const Conflict& conflict, int owner, bool writes) const {
  return wrong(play,
               fmt::format("it {} rank {}'s element {} while {} may still {} it: nothing orders the two",
                           writes ? "writes" : "reads", owner, conflict.element, where(conflict.other),
                           conflict.otherWrites ? "write" : "read"));
}

Error Player::deadlock() const {
  std::string text = "deadlock: ";
  // Follow who waits for whom from the first rank that is stuck, until somebody comes up again.
  std::vector<bool> seen(nRanks_);
  int rank = -1;
  for (const LaneState& state : lanes_) {
    if (!state.done() && rank < 0) rank = state.rank;
  }
  for (int lines = 0; lines < 4 && rank >= 0 && !seen[rank]; ++lines) {
    seen[rank] = true;
    auto stuck = std::find_if(lanes_.begin(), lanes_.end(),
                              [&](const LaneState& s) { return s.rank == rank && !s.done(); });
    if (lines > 0) text += "; ";
    if (stuck == lanes_.end()) {
      text += fmt::format("rank {} has finished", rank);
      break;
    }
    text += whereWaiting(*stuck);
    rank = stuck->waitsFor;
  }
  return Error(Code::InvalidUsage, std::move(text));
}

}  // namespace tutti::algos::verify
