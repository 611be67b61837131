// How long reading, paths and all searches take on each machine of tests/data/topology. TUTTI_TOPOLOGY_DATA
// names another folder.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "topology/analysis.hpp"
#include "topology/cluster.hpp"
#include "topology/xml_nccl.hpp"

namespace {

using namespace tutti::topology;

/// What the project promises, beside what was measured: one core, release build.
void promise(benchmark::State& state, double limitMs) {
  state.counters["limit_ms"] = limitMs;
}

void wholeMachine(benchmark::State& state, const std::string& text, int nodes, double limitMs) {
  double ring = 0;
  double forest = 0;
  double bound = 0;
  for (auto _ : state) {
    auto topology = readTopologyText(text, "bench");
    if (!topology.ok()) return state.SkipWithError(topology.error().message().c_str());
    auto found = analyse(topology->graph, {}, nodes, false);
    if (!found.ok()) return state.SkipWithError(found.error().message().c_str());
    for (const ChannelGraph& g : found->graphs) {
      if (g.pattern == Pattern::Ring) ring = g.totalGbps();
      if (g.pattern == Pattern::Forest) forest = g.totalGbps();
    }
    bound = found->bounds.allGather;
  }
  state.counters["ring_GBps"] = ring;
  state.counters["forest_of_bound"] = bound > 0 ? forest / bound : 0;
  if (limitMs > 0) promise(state, limitMs);
}

/// Trays of one kind joined to one NVLink domain, as a file would say it.
std::string domainOf(const std::string& tray, int trays, int gpusPerTray) {
  auto root = parseXml(tray, "tray");
  XmlElement domain = *root;
  domain.children.clear();
  for (int t = 0; t < trays; ++t) {
    for (XmlElement cpu : root->children) {
      cpu.set("host_hash", fmt::format("0x{:x}", t + 1));
      auto visit = [&](auto&& self, XmlElement& e) -> void {
        if (e.name == "gpu")
          e.set("rank", std::to_string(t * gpusPerTray + std::atoi(std::string(e.get("dev")).c_str())));
        if (e.name == "net")
          e.set("guid", fmt::format("0x{:x}{:03x}", t + 1, std::atoi(std::string(e.get("dev")).c_str())));
        for (XmlElement& c : e.children) self(self, c);
      };
      visit(visit, cpu);
      domain.children.push_back(std::move(cpu));
    }
  }
  return writeXml(domain);
}

void merged(benchmark::State& state, const std::string& text) {
  const int hosts = static_cast<int>(state.range(0));
  auto topology = readTopologyText(text, "bench");
  std::string description;
  MachineNote note = noteOf(*topology, "host", description).value();
  std::vector<MachineNote> notes(static_cast<size_t>(hosts), note);
  std::vector<std::string> names(static_cast<size_t>(hosts), "host");
  for (auto _ : state) {
    auto cluster = mergeCluster(notes, std::vector<std::string>{description}, names);
    auto plan = planCluster(*cluster, {});
    if (!plan.ok()) return state.SkipWithError(plan.error().message().c_str());
    benchmark::DoNotOptimize(plan->hash);
  }
  promise(state, 5000);
}

}  // namespace

int main(int argc, char** argv) {
  const char* given = std::getenv("TUTTI_TOPOLOGY_DATA");
  const std::string folder = given ? given : TUTTI_TEST_DATA "/topology";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".xml" && entry.path().string().find("-graph") == std::string::npos)
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    auto text = readFileBounded(file.string(), 64u << 20);
    if (!text.ok()) continue;
    for (int nodes : {1, 2})
      benchmark::RegisterBenchmark(fmt::format("{}/nodes:{}", file.stem().string(), nodes).c_str(),
                                   wholeMachine, *text, nodes, nodes == 1 ? 10.0 : 0.0)
          ->Unit(benchmark::kMillisecond);
    if (file.stem() == "gb200-nvl72-tray")
      benchmark::RegisterBenchmark("nvl72/nodes:2", wholeMachine, domainOf(*text, 18, 4), 2, 1000.0)
          ->Unit(benchmark::kMillisecond);
    if (file.stem() == "dgx-h100")
      benchmark::RegisterBenchmark("merged/dgx-h100", merged, *text)
          ->Arg(16384)
          ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
