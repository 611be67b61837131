// tutti topo: what machine this is, how its devices reach each other, and the rings, trees and forests found
// on it.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include "core/clock.hpp"
#include "core/param.hpp"
#include "parse.hpp"
#include "topo/report_json.hpp"
#include "topology/analysis.hpp"
#include "topology/discover.hpp"
#include "topology/render_svg.hpp"
#include "topology/xml_graph.hpp"
#include "topology/xml_hwloc.hpp"
#include "topology/xml_nccl.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

struct Options {
  std::string file;
  int nodes = 1;
  bool json = false;
  bool xml = false;
  bool hwlocXml = false;
  bool graphXml = false;
  bool probe = false;
  bool measure = false;
  std::string svg;
  std::string html;
};

int complainOfTopo(const Error& error) {
  std::fprintf(stderr, "tutti topo: %s\n", error.message().c_str());
  return kExitFailed;
}

Result<topology::Topology> load(const Options& options) {
  std::string file = options.file.empty() ? params::getString("NCCL_TOPO_FILE") : options.file;
  if (file.empty()) {
    TUTTI_ASSIGN(topology::Topology here, topology::discover());
    if (options.measure)
      if (Status s = topology::measureLatencies(here.graph); !s.ok())
        here.graph.warnings.push_back("core-to-core latency is not known: " + s.error().message());
    return here;
  }
  TUTTI_ASSIGN(topology::Topology topo, topology::readTopologyFile(file));
  if (!options.probe) return topo;
  // The file says how things are wired; what it leaves bare is looked up on this machine.
  TUTTI_ASSIGN(topology::Topology here, topology::discover());
  topology::completeFromProbe(topo.xml, here.xml);
  TUTTI_ASSIGN(topo.graph, topology::graphFromNcclXml(topo.xml, file));
  return topo;
}

Status writeFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) return makeError(Code::SystemError, "{}: cannot be written", path);
  return {};
}

Status useGraphFile(const std::string& path, const topology::Graph& graph, topology::Analysis& analysis) {
  TUTTI_ASSIGN(std::string text, topology::readFileBounded(path, topology::XmlLimits().maxBytes));
  TUTTI_ASSIGN(topology::XmlElement xml, topology::parseXml(text, path));
  TUTTI_ASSIGN(std::vector<topology::ChannelGraph> graphs, topology::readGraphs(xml, graph, path));
  topology::useGraphs(analysis, std::move(graphs));
  return {};
}

int show(const Options& options) {
  int64_t start = nowNs();
  auto loaded = load(options);
  if (!loaded.ok()) return complainOfTopo(loaded.error());
  double parseMs = static_cast<double>(nowNs() - start) / 1e6;
  if (options.xml) {
    std::cout << topology::writeXml(loaded->xml);
    return kExitOk;
  }
  if (options.hwlocXml) {
    auto text = topology::writeHwlocXml(loaded->xml, options.file.empty() ? "this machine" : options.file);
    if (!text.ok()) return complainOfTopo(text.error());
    std::cout << *text;
    return kExitOk;
  }
  auto settings = topology::settingsFromParams();
  if (!settings.ok()) return complainOfTopo(settings.error());
  topology::Graph& graph = loaded->graph;
  auto analysis = topology::analyse(graph, *settings, options.nodes, true);
  if (!analysis.ok()) return complainOfTopo(analysis.error());
  if (std::string given = params::getString("NCCL_GRAPH_FILE"); !given.empty()) {
    if (Status s = useGraphFile(given, graph, *analysis); !s.ok()) return complainOfTopo(s.error());
  }
  for (const std::string& why : analysis->refused) std::cerr << "tutti topo: left out: " << why << '\n';
  if (!options.svg.empty())
    if (Status s = writeFile(options.svg, topology::renderSvg(graph, *analysis)); !s.ok())
      return complainOfTopo(s.error());
  if (!options.html.empty())
    if (Status s = writeFile(options.html, topology::renderHtml(graph, *analysis)); !s.ok())
      return complainOfTopo(s.error());
  if (options.graphXml)
    std::cout << topology::writeXml(topology::graphsToXml(analysis->graphs, graph));
  else if (options.json)
    std::cout << reportJson(graph, *analysis, parseMs) << "\n";
  else
    std::cout << topology::renderText(graph, *analysis, parseMs);
  return kExitOk;
}

}  // namespace

int topoMain(int argc, char** argv) {
  Options options;
  CLI::App app("The machine, its paths, and the rings, trees and forests found on it", "tutti topo");
  app.add_option("file", options.file,
                 "NCCL topology XML or hwloc XML; without it, NCCL_TOPO_FILE or this machine");
  app.add_option("--nodes", options.nodes, "plan for so many machines of this kind, joined by their NICs")
      ->check(CLI::Range(1, 1 << 20));
  app.add_flag("--json", options.json, "everything, for programs");
  app.add_flag("--xml", options.xml, "the machine as NCCL topology XML");
  app.add_flag("--hwloc-xml", options.hwlocXml, "the machine as hwloc XML (lstopo -i)");
  app.add_flag("--graph-xml", options.graphXml, "the rings and trees as NCCL graph XML");
  app.add_flag("--probe", options.probe, "look up on this machine what the file leaves bare");
  app.add_flag("--measure", options.measure, "measure core-to-core latency (this machine only, no file)");
  app.add_option("--svg", options.svg, "draw the machine into this file");
  app.add_option("--html", options.html,
                 "the same as a page where rings and trees can be switched on and off");
  if (auto status = parse(app, "topo", argc, argv)) return *status;
  return show(options);
}

}  // namespace tutti::tools
