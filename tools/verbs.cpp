#include "verbs.hpp"

namespace tutti::tools {

std::span<const Verb> verbs() {
  static constexpr Verb kVerbs[] = {
      {"run", "start N ranks of a program on this host", runMain},
      {"params", "the parameters: values, defaults, who set them", paramsMain},
      {"doctor", "check what this machine offers, and what to do where it does not", doctorMain},
      {"topo", "the machine, and the rings, trees and forests found on it", topoMain},
      {"plan", "the program that ranks play for a collective call", planMain},
      {"verify", "prove the built-in plans, or plans of your own", verifyMain},
      {"simulate", "what a collective would take on machines that are not here", simulateMain},
      {"explain", "which algorithm a call would get, and why the others lost", explainMain},
      {"calibrate", "measure this machine for the cost model, and show what was measured", calibrateMain},
      // Planned. They answer that they are not built; --help does not show them.
      {"trace", "", nullptr},
  };
  return kVerbs;
}

}  // namespace tutti::tools
