// Composition: a plan of a group of ranks becomes a phase of a larger plan. Internal to builders.
#pragma once

#include "algos/plan.hpp"

namespace tutti::algos {

/// Where a phase's blocks lie in the larger plan: its block b is `count` blocks, `pace` apart, from
/// offset + scale*b on.
struct Place {
  Buffer buffer = Buffer::None;
  int offset = 0;
  int scale = 1;
  int count = 1;
  int pace = 1;
};

struct Phase {
  /// A plan of the group with one lane and no boards. Of its rounds and sizes nothing is used.
  const Plan* plan = nullptr;
  int firstRank = 0;  ///< rank p of the group is firstRank + rankStride*p
  int rankStride = 1;
  Place input, output;
  int scratchOffset = 0;  ///< its scratch blocks, `output.count` blocks each, begin here
  bool finishes = true;   ///< its results are the larger plan's: false takes `finish` out
};

/// Appends the phase's steps to `lane`; copies of blocks onto themselves are left out. False: some pattern of
/// blocks cannot be said in the larger plan's terms, or the phase has several lanes.
bool appendPhase(Lane& lane, const Phase& phase);

}  // namespace tutti::algos
