// The machine drawn: NUMA nodes as boxes with what hangs below them nested inside, links as lines as wide as
// they carry, rings and trees as coloured paths.
#pragma once

#include <string>

#include "topology/analysis.hpp"

namespace tutti::topology {

/// One picture, with the first channel of each ring and tree graph.
std::string renderSvg(const Graph& graph, const Analysis& analysis);
/// A page with the picture and a switch for every different channel.
std::string renderHtml(const Graph& graph, const Analysis& analysis);

}  // namespace tutti::topology
