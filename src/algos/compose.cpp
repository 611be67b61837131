#include "algos/compose.hpp"

#include <optional>

namespace tutti::algos {
namespace {

Affine scaled(const Affine& a, int scale, int offset) {
  Affine out{a.base * scale, a.stride * scale, a.modulus * scale, a.offset * scale + offset};
  if (out.modulus == 0) {
    out.base += out.offset;
    out.offset = 0;
  }
  return out;
}

/// `ref` with each block replaced by `place.count` blocks.
std::optional<BlockRef> placed(const BlockRef& ref, const Place& place) {
  BlockRef out{place.buffer, scaled(ref.index, place.scale, place.offset), ref.span * place.count};
  const bool side = place.pace == 1 && place.scale == place.count;  // neighbours stay neighbours
  const bool plain = ref.span == 1 || (ref.run == 0 && ref.pace == 1);
  if (ref.span == 1) {
    out.pace = place.count > 1 ? place.pace : 1;
  } else if (plain && side) {
    out.pace = 1;
  } else if (place.count == 1) {
    out.run = ref.run;
    out.jump = ref.jump * place.scale;
    out.pace = ref.pace * place.scale;
  } else if (ref.run <= 1) {
    out.run = place.count;
    out.jump = (ref.run == 0 ? ref.pace : ref.jump) * place.scale;
    out.pace = place.pace;
  } else if (ref.pace == 1 && side) {
    out.run = ref.run * place.count;
    out.jump = ref.jump * place.scale;
  } else {
    return std::nullopt;
  }
  return out;
}

bool sameBlocks(const BlockRef& a, const BlockRef& b, int repeat) {
  if (a.buffer != b.buffer || a.span != b.span) return false;
  for (int k = 0; k < repeat; ++k) {
    for (int i = 0; i < a.span; ++i) {
      if (a.at(k, i) != b.at(k, i)) return false;
    }
  }
  return true;
}

}  // namespace

bool appendPhase(Lane& lane, const Phase& phase) {
  if (phase.plan->lanes.size() != 1 || phase.plan->usesBoards) return false;
  const int unit = phase.output.count;
  const Place scratch{Buffer::Scratch, phase.scratchOffset, unit, unit, 1};
  auto place = [&](BlockRef& ref) {
    if (ref.buffer == Buffer::None) return true;
    const Place& to = ref.buffer == Buffer::Input    ? phase.input
                      : ref.buffer == Buffer::Output ? phase.output
                                                     : scratch;
    const std::optional<BlockRef> found = placed(ref, to);
    if (found) ref = *found;
    return found.has_value();
  };
  for (Step step : phase.plan->lanes[0].steps) {
    if (!place(step.src) || !place(step.dst)) return false;
    for (Peers* peers : {&step.recvFrom, &step.sendTo}) {
      for (int i = 0; i < peers->count; ++i) {
        peers->peer[i] = scaled(peers->peer[i], phase.rankStride, phase.firstRank);
      }
    }
    if (!phase.finishes) step.finishes = false;
    if (!step.reduces && step.src.buffer != Buffer::None && sameBlocks(step.src, step.dst, step.repeat)) {
      step.dst = {};
      if (step.sendTo.count == 0) continue;
    }
    lane.steps.push_back(step);
  }
  return true;
}

}  // namespace tutti::algos
