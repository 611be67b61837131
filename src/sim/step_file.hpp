// A training step written down: computing and collective calls, and what waits for what. JSON; see
// docs/simulator.md and examples/steps.
#pragma once

#include <string>
#include <string_view>

#include "sim/scenario.hpp"

namespace tutti::sim {

struct StepFile {
  std::string name;
  Workload workload;
};

/// Errors name the file and line. `base`: limits of the calls (slot sizes, depth).
Result<StepFile> parseStepFile(std::string_view json, std::string_view fileName, const algos::Limits& base);

/// What an iteration's time goes into.
struct StepTimes {
  double iterationUs = 0;
  double computeUs = 0;  ///< of the rank that computes longest
  double exposedUs = 0;  ///< the rest: communication (and waiting for others) that no computing hides
};
StepTimes timesOf(const Report& report);

}  // namespace tutti::sim
