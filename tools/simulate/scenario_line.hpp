// The part of the command line that `tutti simulate` and `tutti explain` share: machines, call, what-ifs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "sim/scenario.hpp"

namespace tutti::tools {

class ScenarioLine {
 public:
  void addTo(CLI::App& app);
  /// What the words mean; errors name the option.
  Result<sim::Scenario> scenario() const;
  bool hasCollective() const { return !collective_.empty(); }
  bool messagesGiven() const { return messages_ > 0; }
  /// The sizes of --bytes.
  Result<std::vector<size_t>> sizes() const;

 private:
  std::string collective_, topo_, fabricFile_, bytes_ = "1M", type_ = "float", op_ = "sum", fabric_ = "rail",
                                               torus_;
  std::string slot_;
  int ranks_ = 0, nodes_ = 1, root_ = 0, depth_ = 8, channels_ = 0, radix_ = 64;
  double nicGbps_ = 0, hopUs_ = 0.5, oversubscription_ = 0, gbps_ = 50, latencyUs_ = 1, gapUs_ = 0,
         skewUs_ = 0;
  double overheadUs_ = -1, reduceGbps_ = -1;
  bool adaptive_ = false, host_ = false;
  uint64_t seed_ = 1, messages_ = 0;
  std::vector<std::string> dead_, slowLinks_, slowRanks_;
};

}  // namespace tutti::tools
