// Any bytes as a fabric file, a topology file and a graph file: an error or a value, and what is a value can
// be written, read again and planned for, with every result proved feasible.
#include <cstdlib>
#include <string_view>

#include "topology/analysis.hpp"
#include "topology/cluster.hpp"
#include "topology/xml_graph.hpp"
#include "topology/xml_hwloc.hpp"
#include "topology/xml_nccl.hpp"

using namespace tutti::topology;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parseFabricFile(text, "fuzz");
  auto topology = readTopologyText(text, "fuzz");
  if (!topology.ok()) return 0;
  std::string once = writeXml(topology->xml);
  auto again = readTopologyText(once, "again");
  if (!again.ok() || writeXml(again->xml) != once || again->graph.hash() != topology->graph.hash())
    std::abort();
  // hwloc's form: what was written is read again and written the same.
  if (auto hwloc = writeHwlocXml(topology->xml, "fuzz"); hwloc.ok()) {
    auto back = readTopologyText(*hwloc, "hwloc");
    if (back.ok()) {
      auto twice = writeHwlocXml(back->xml, "back");
      if (!twice.ok() || *twice != *hwloc) std::abort();
    }
  }
  if (topology->graph.ranks.empty() || topology->graph.ranks.size() > 12 ||
      topology->graph.links.size() > 400)
    return 0;
  auto found = analyse(topology->graph, {}, 1 + static_cast<int>(size % 2), true);
  if (!found.ok()) std::abort();  // graphs that fail their proof are left out, not an error
  std::string graphs = writeXml(graphsToXml(found->graphs, topology->graph));
  auto document = parseXml(graphs, "graphs");
  if (!document.ok()) std::abort();
  (void)readGraphs(*document, topology->graph, "graphs");
  return 0;
}
