// Why one algorithm and not another: all that can do a call, simulated, with what their time goes into.
#pragma once

#include <string>
#include <vector>

#include "sim/gpu_cost.hpp"
#include "sim/scenario.hpp"

namespace tutti::sim {

struct Candidate {
  Scheme scheme;
  TimePs time = 0;
  Split split;  ///< of the rank that ends last, along the chain of events that made it last
  std::string fullestLink;
  double fullestBusy = 0;    ///< its share of the time, 0 to 1
  std::string longestQueue;  ///< the link at which messages waited longest in sum; empty: none waited
  double modelUs = 0;        ///< what the cost model of the engines says; 0: not asked (several machines)
  std::vector<std::string> notes;
  std::string verdict;  ///< "chosen", or why it lost
  std::string refused;  ///< not simulated: why
};

/// What the closed-form model of GPU machines says (gpu_cost.hpp).
struct Priced {
  std::string name;  ///< "ring/ll128"
  double timeUs = 0;
  double latencyUs = 0;
  double wireUs = 0;
  std::string verdict;  ///< "chosen", or why it lost
};

struct Explanation {
  std::vector<Candidate> candidates;  ///< fastest first, refused ones last
  std::vector<Priced> priced;         ///< fastest first; machines with GPUs only
};

/// `without`: names of schemes or algorithms that are left out. None left is an error.
Result<Explanation> explain(const Scenario& scenario, Network& network,
                            const std::vector<std::string>& without);

}  // namespace tutti::sim
