// `tutti topo --json`.
#pragma once

#include <string>

#include "topology/analysis.hpp"

namespace tutti::tools {

/// Fields: graphs, bounds, times_ms, warnings, machine, paths, hash. See docs/topology.md.
std::string reportJson(const topology::Graph& graph, const topology::Analysis& analysis, double parseMs);

}  // namespace tutti::tools
