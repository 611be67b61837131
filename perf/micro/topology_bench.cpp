// How long reading, paths and all searches take on each machine of tests/data/topology. TUTTI_TOPOLOGY_DATA
// names another folder. With --check: the least CPU time of some runs, and the memory, against what the
// project promises; exit status 1 where it is not kept.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>

#include "topology/analysis.hpp"
#include "topology/cluster.hpp"
#include "topology/xml_nccl.hpp"

namespace {

using namespace tutti;
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

Result<uint64_t> merge(const std::string& text, int hosts) {
  TUTTI_ASSIGN(Topology topology, readTopologyText(text, "bench"));
  std::string description;
  TUTTI_ASSIGN(MachineNote note, noteOf(topology, "host", description));
  std::vector<MachineNote> notes(static_cast<size_t>(hosts), note);
  std::vector<std::string> names(static_cast<size_t>(hosts), "host");
  TUTTI_ASSIGN(Cluster cluster, mergeCluster(notes, std::vector<std::string>{description}, names));
  TUTTI_ASSIGN(ClusterPlan plan, planCluster(cluster, {}));
  return plan.hash;
}

void merged(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto hash = merge(text, static_cast<int>(state.range(0)));
    if (!hash.ok()) return state.SkipWithError(hash.error().message().c_str());
    benchmark::DoNotOptimize(*hash);
  }
  promise(state, 5000);
}

double cpuMs() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

class Checker {
 public:
  void check(const std::string& name, double limitMs, const std::function<Status()>& run) {
    double least = 1e18;
    for (int i = 0; i < 5; ++i) {
      const double start = cpuMs();
      Status done = run();
      if (!done.ok()) return say(false, name, done.error().message());
      least = std::min(least, cpuMs() - start);
      if (least > limitMs) continue;
      if (i >= 2 && least < limitMs / 2) break;
    }
    say(least < limitMs, name, fmt::format("{:9.2f} ms CPU of {:6.0f}", least, limitMs));
  }
  void checkMemory(const std::string& name, double limitMiB) {
    rusage used;
    getrusage(RUSAGE_SELF, &used);
    const double mib = static_cast<double>(used.ru_maxrss) / 1024;
    say(mib < limitMiB, name, fmt::format("{:9.1f} MiB   of {:6.0f}", mib, limitMiB));
  }
  int failures() const { return failures_; }

 private:
  void say(bool kept, const std::string& name, const std::string& figure) {
    std::printf("%-6s %-44s %s\n", kept ? "kept" : "BROKEN", name.c_str(), figure.c_str());
    failures_ += kept ? 0 : 1;
  }
  int failures_ = 0;
};

Status searchAll(const std::string& text, int nodes) {
  TUTTI_ASSIGN(Topology topology, readTopologyText(text, "bench"));
  TUTTI_ASSIGN(Analysis found, analyse(topology.graph, {}, nodes, false));
  benchmark::DoNotOptimize(found.hash);
  return {};
}

int checkAll(const std::vector<std::filesystem::path>& files) {
  Checker checker;
  for (const auto& file : files) {
    auto text = readFileBounded(file.string(), 64u << 20);
    if (!text.ok()) continue;
    const std::string name = file.stem().string();
    checker.check(name, 10, [&] { return searchAll(*text, 1); });
    if (name == "gb200-nvl72-tray") {
      const std::string domain = domainOf(*text, 18, 4);
      checker.check("two NVL72 domains", 1000, [&] { return searchAll(domain, 2); });
    }
    if (name == "dgx-h100")
      checker.check("16384 x dgx-h100, merged", 5000, [&]() -> Status {
        auto hash = merge(*text, 16384);
        return hash.ok() ? Status() : Status(hash.error());
      });
  }
  checker.checkMemory("all of it, resident", 1024);
  return checker.failures() == 0 ? 0 : 1;
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
  if (argc > 1 && std::strcmp(argv[1], "--check") == 0) return checkAll(files);
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
