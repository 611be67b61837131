// Rings, trees and NVLS stars over one machine, or over several that are equal. Pure and deterministic.
#pragma once

#include <vector>

#include "topology/channel_graph.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {

/// Channels in the order ring, tree, nvls; a pattern the machine cannot do is left out. `nodes` > 1: as one
/// of so many equal machines joined by their NICs.
std::vector<ChannelGraph> searchChannels(const Graph& graph, const Paths& paths, const Settings& settings,
                                         int nodes);

}  // namespace tutti::topology
