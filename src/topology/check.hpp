// Proves a found graph feasible, sharing no code with the searches: every order visits each rank once, every
// tree spans, the hops are real ways through the machine, and no link carries more than it can.
#pragma once

#include "core/result.hpp"
#include "topology/channel_graph.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {

/// Success, or what is wrong and where.
Status checkGraph(const Graph& graph, const Paths& paths, const ChannelGraph& found);

}  // namespace tutti::topology
