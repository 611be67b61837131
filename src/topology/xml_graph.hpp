// NCCL's graph files (NCCL_GRAPH_FILE, NCCL_GRAPH_DUMP_FILE): channels by hand instead of by search.
#pragma once

#include "topology/channel_graph.hpp"
#include "topology/xml_document.hpp"

namespace tutti::topology {

/// Rings, trees and stars of a file. Ids 0..3 are ring, tree, (collnet), NVLS as in NCCL; the pattern
/// attribute decides. Every channel must name each GPU of `graph` once (stars: their head).
Result<std::vector<ChannelGraph>> readGraphs(const XmlElement& root, const Graph& graph,
                                             std::string_view fileName);

/// Forests have no place in NCCL's format and are left out.
XmlElement graphsToXml(const std::vector<ChannelGraph>& graphs, const Graph& graph);

}  // namespace tutti::topology
