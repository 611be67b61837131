// A picture of plans: one column per rank, time downwards in steps, an arrow for every message and every read
// off a board. Drawn from the plans themselves, by playing their first round.
#pragma once

#include <span>
#include <string>

#include "algos/plan.hpp"
#include "core/result.hpp"

namespace tutti::algos {

/// One SVG. `plans`: of all ranks, in rank order. An error where they do not fit each other (some play of the
/// first round never comes), or would make a picture of more than a few thousand plays.
Result<std::string> drawSvg(std::span<const Plan> plans);

}  // namespace tutti::algos
