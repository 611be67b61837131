// What `tutti simulate` plays besides single calls, and what it draws.
#pragma once

#include <string>

#include "sim/trace.hpp"
#include "simulate/scenario_line.hpp"

namespace tutti::tools {

struct ReplayWords {
  std::string step, goalIn, goalOut, trace, html;  ///< files
};

/// Plays a training step or a GOAL schedule and prints its times.
Status replay(const ScenarioLine& line, const ReplayWords& words, bool json);

Status writeText(const std::string& path, const std::string& text);
/// The files of --trace and --html.
Status writeDrawings(const sim::Trace& trace, const sim::Workload& workload, const sim::Network& network,
                     const sim::Report& report, const std::string& title, const ReplayWords& words);

}  // namespace tutti::tools
