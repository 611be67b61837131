// NCCL's topology XML (NCCL_TOPO_FILE): the document is kept as it is, the graph is built from it.
//
// Tutti adds elements that NCCL's parser skips: <l3> and <core> below <cpu> for host ranks.
#pragma once

#include <string>
#include <string_view>

#include "topology/graph.hpp"
#include "topology/xml_document.hpp"

namespace tutti::topology {

/// A machine: the document as read or probed, and what it means.
struct Topology {
  XmlElement xml;
  Graph graph;
};

/// Reads a file of any kind that is known: NCCL topology XML or hwloc XML (version 1 or 2).
Result<Topology> readTopologyFile(const std::string& path);
Result<Topology> readTopologyText(std::string_view text, std::string_view fileName);

/// REQUIRES nothing of `root`; `fileName` is for messages. A <pci> of a GPU's class without <gpu> becomes a
/// GPU only when no GPU of the file has a rank (a bare file): ranks then follow the order of the file, and a
/// warning says so.
Result<Graph> graphFromNcclXml(const XmlElement& root, std::string_view fileName);

/// "0000:16:00.0" → 0x0000160000 with one hexadecimal digit for the function; any grouping is accepted.
Result<int64_t> parseBusId(std::string_view text);

}  // namespace tutti::topology
