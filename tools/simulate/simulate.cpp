// tutti simulate: what a collective would take on machines that are not here.
#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/bytes.hpp"
#include "core/clock.hpp"
#include "parse.hpp"
#include "sim/goal.hpp"
#include "simulate/replay.hpp"
#include "simulate/scenario_line.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using nlohmann::ordered_json;

int complainOfSimulation(const Error& error) {
  fmt::print(stderr, "tutti simulate: {}\n", error.message());
  return error.code() == Code::InvalidArgument ? kExitUsage : kExitFailed;
}

double residentMb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct Row {
  algos::Request request;
  std::string algorithm;
  sim::Prepared prepared;
  sim::Report report;
  std::string bottleneck;
  double bottleneckShare = 0;

  double timeUs() const { return sim::usFromPs(report.end); }
  double algbw() const { return timeUs() > 0 ? sim::algorithmBytes(request) / timeUs() * 1e-3 : 0; }
  double busbw() const { return algbw() * sim::busFactor(request); }
};

Result<Row> runOne(const sim::Scenario& scenario, const sim::Scheme& scheme, sim::Network& network,
                   sim::TimePs stopAfter = sim::kUnknown, sim::Recorder* recorder = nullptr) {
  Row row;
  row.request = scenario.request;
  row.algorithm = scheme.name;
  TUTTI_ASSIGN(row.prepared, sim::prepare(scenario, scheme, network));
  row.prepared.options.recorder = recorder;
  row.prepared.options.stopAfter = stopAfter;
  TUTTI_ASSIGN(row.report, sim::simulate(network, row.prepared.workload, row.prepared.options));
  if (std::string note = sim::roundsNote(row.prepared.options, row.report); !note.empty())
    row.prepared.notes.push_back(std::move(note));
  uint32_t most = 0;
  for (uint32_t l = 1; l < network.links().size(); ++l) {
    if (network.links()[l].busy > network.links()[most].busy) most = l;
  }
  row.bottleneck = network.linkName(most);
  if (row.report.end > 0)
    row.bottleneckShare =
        static_cast<double>(network.links()[most].busy) / static_cast<double>(row.report.end);
  return row;
}

/// A big run is worth a thread per core, each with a network of its own.
constexpr int kManyRanks = 2048;

/// The fastest of all schemes. Those that cannot be it are not played: what they take at least is more than
/// another took. Which one wins does not depend on threads.
Result<Row> runFastest(const sim::Scenario& scenario, sim::Network& network) {
  struct Entry {
    sim::Scheme scheme;
    double leastUs = 0;
  };
  std::vector<Entry> entries;
  for (sim::Scheme& scheme : sim::schemesFor(scenario, network)) {
    auto least = sim::leastUs(scenario, scheme, network);
    entries.push_back({std::move(scheme), least.ok() ? *least : 0});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.leastUs < b.leastUs; });
  std::mutex mutex;
  size_t next = 0, bestAt = 0;
  std::optional<Row> best;
  std::optional<Error> refused;
  auto work = [&](sim::Network& mine) {
    std::unique_lock lock(mutex);
    while (next < entries.size()) {
      const size_t at = next++;
      const sim::TimePs limit = best ? best->report.end : sim::kUnknown;
      if (best && sim::psFromUs(entries[at].leastUs) > limit) continue;
      lock.unlock();
      auto row = runOne(scenario, entries[at].scheme, mine, limit);
      lock.lock();
      if (!row.ok()) {
        if (!refused) refused = std::move(row).error();
        continue;
      }
      if (row->report.stopped ||
          (best && std::pair(row->report.end, at) > std::pair(best->report.end, bestAt)))
        continue;
      best = std::move(*row);
      bestAt = at;
    }
  };
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<sim::Network>> networks;
  const unsigned cores = network.nRanks() > kManyRanks ? std::thread::hardware_concurrency() : 1;
  for (unsigned t = 1; t < std::min<size_t>(std::min(cores, 4u), entries.size()); ++t) {
    TUTTI_ASSIGN(std::unique_ptr<sim::Network> own, sim::makeNetwork(scenario));
    networks.push_back(std::move(own));
  }
  threads.reserve(networks.size());
  for (auto& own : networks) threads.emplace_back([&work, &own] { work(*own); });
  work(network);
  for (std::thread& t : threads) t.join();
  if (best) return *std::move(best);
  if (refused) return *std::move(refused);
  return makeError(Code::InvalidUsage, "no algorithm does {} here",
                   algos::nameOf(scenario.request.collective));
}

ordered_json jsonOf(const Row& row, const sim::Network& network) {
  ordered_json j;
  j["simulation"] = true;
  j["collective"] = algos::nameOf(row.request.collective);
  j["ranks"] = row.request.nRanks;
  j["bytes"] = static_cast<uint64_t>(sim::algorithmBytes(row.request));
  j["algo"] = row.algorithm;
  j["time_us"] = row.timeUs();
  j["algbw_gbps"] = row.algbw();
  j["busbw_gbps"] = row.busbw();
  j["events"] = row.report.events;
  j["messages"] = row.report.messages;
  j["wall_s"] = row.report.wallSeconds;
  j["cpu_s"] = row.report.cpuSeconds;
  j["rss_mb"] = residentMb();
  j["symmetry"] = row.prepared.symmetric;
  j["bottleneck"] = {{"link", row.bottleneck}, {"busy", row.bottleneckShare}};
  j["network"] = network.describe();
  j["notes"] = row.prepared.notes;
  return j;
}

void printHead(const sim::Network& network, const std::vector<std::string>& notes) {
  fmt::print("# SIMULATION, not a measurement: {}\n", network.describe());
  for (const std::string& note : notes) fmt::print("# {}\n", note);
  fmt::print("#\n# {:>12} {:>13} {:>9} {:>7} {:>5} {:>14} {:>12} {:>8} {:>8} {:>10} {:>7}\n", "size", "count",
             "type", "redop", "root", "algorithm", "time", "algbw", "busbw", "events", "wall");
  fmt::print("# {:>12} {:>13} {:>9} {:>7} {:>5} {:>14} {:>12} {:>8} {:>8} {:>10} {:>7}\n", "(B)",
             "(elements)", "", "", "", "", "(us)", "(GB/s)", "(GB/s)", "", "(s)");
}

void printRow(const Row& row) {
  const algos::Request& r = row.request;
  fmt::print("  {:>12} {:>13} {:>9} {:>7} {:>5} {:>14} {:>12.2f} {:>8.2f} {:>8.2f} {:>10} {:>7.2f}\n",
             static_cast<uint64_t>(sim::algorithmBytes(r)), r.count, nameOf(r.type),
             algos::reduces(r.collective) ? nameOf(r.op) : "none", algos::hasRoot(r.collective) ? r.root : -1,
             row.algorithm, row.timeUs(), row.algbw(), row.busbw(), row.report.events,
             row.report.wallSeconds);
}

struct Words {
  std::string algorithm, symmetry = "auto";
  ReplayWords replay;
  bool json = false;
};

/// Plays the chosen scheme again, with somebody who takes notes.
Status draw(const sim::Scenario& scenario, const Row& chosen, sim::Network& network,
            const ReplayWords& words) {
  if (!words.goalOut.empty()) {
    if (chosen.prepared.symmetric)
      return makeError(Code::InvalidUsage, "a run by symmetry has not all ranks' operations: --symmetry off");
    TUTTI_ASSIGN(sim::Goal goal, sim::goalOf(chosen.prepared.workload, chosen.prepared.options.costs));
    TUTTI_TRY(writeText(words.goalOut, sim::toText(goal)));
  }
  if (words.trace.empty() && words.html.empty()) return {};
  sim::Trace trace;
  TUTTI_ASSIGN(sim::Scheme scheme, sim::schemeFromName(chosen.algorithm));
  TUTTI_ASSIGN(Row again, runOne(scenario, scheme, network, sim::kUnknown, &trace));
  return writeDrawings(trace, again.prepared.workload, network, again.report,
                       fmt::format("{} of {} on {} ranks by {}", algos::nameOf(again.request.collective),
                                   formatBytes(static_cast<int64_t>(sim::algorithmBytes(again.request))),
                                   again.request.nRanks, again.algorithm),
                       words);
}

Status simulateAll(const ScenarioLine& line, const Words& words) {
  const bool json = words.json;
  const std::string &algorithms = words.algorithm, &symmetry = words.symmetry;
  if (!line.hasCollective())
    return makeError(Code::InvalidArgument, "say which collective: allreduce, ... (or --step, --goal)");
  TUTTI_ASSIGN(sim::Scenario scenario, line.scenario());
  TUTTI_ASSIGN(std::vector<size_t> sizes, line.sizes());
  scenario.symmetry = symmetry == "on"    ? sim::Scenario::Symmetry::On
                      : symmetry == "off" ? sim::Scenario::Symmetry::Off
                                          : sim::Scenario::Symmetry::Auto;
  TUTTI_ASSIGN(std::unique_ptr<sim::Network> network, sim::makeNetwork(scenario));
  std::optional<sim::Scheme> scheme;
  if (!algorithms.empty()) {
    TUTTI_ASSIGN(scheme, sim::schemeFromName(algorithms));
    if (!line.messagesGiven()) scenario.mostMessages *= 2;  // one run has the time of several
  }
  ordered_json array = ordered_json::array();
  std::vector<std::string> notes;
  bool head = false;
  for (size_t bytes : sizes) {
    sim::setSize(scenario.request, bytes);
    const int64_t begin = nowNs();
    TUTTI_ASSIGN(Row best, scheme ? runOne(scenario, *scheme, *network) : runFastest(scenario, *network));
    best.report.wallSeconds = static_cast<double>(nowNs() - begin) * 1e-9;
    TUTTI_TRY(draw(scenario, best, *network, words.replay));
    if (json) {
      array.push_back(jsonOf(best, *network));
      continue;
    }
    if (!head || best.prepared.notes != notes) {
      notes = best.prepared.notes;
      printHead(*network, notes);
      head = true;
    }
    printRow(best);
    fmt::print("# fullest link: {} ({:.0f} % busy); {:.1f} M events per second of CPU; {:.0f} MB\n",
               best.bottleneck, best.bottleneckShare * 100,
               static_cast<double>(best.report.events) / std::max(1e-9, best.report.cpuSeconds) * 1e-6,
               residentMb());
  }
  if (json) fmt::print("{}\n", (array.size() == 1 ? array.front() : array).dump(1));
  return {};
}

}  // namespace

int simulateMain(int argc, char** argv) {
  CLI::App app(
      "What a collective would take on machines that are not here: plays its plans over a simulated network",
      "tutti simulate");
  ScenarioLine line;
  Words words;
  line.addTo(app);
  app.add_option("--algo", words.algorithm,
                 "ring, tree, ..., 2level, with /simple or /ll; without it, the fastest of all");
  app.add_option("--symmetry", words.symmetry, "auto, on or off: play a few ranks of a ring for all")
      ->check(CLI::IsMember({"auto", "on", "off"}));
  app.add_option("--step", words.replay.step,
                 "replay a training step (JSON, see examples/steps) instead of one call");
  app.add_option("--goal", words.replay.goalIn,
                 "play a GOAL schedule (LogGOPSim's text form) instead of one call");
  app.add_option("--export-goal", words.replay.goalOut, "write the call as a GOAL schedule");
  app.add_option("--trace", words.replay.trace, "write what happened, for Perfetto or chrome://tracing");
  app.add_option("--html", words.replay.html, "draw a time line and a heat map of the links");
  app.add_flag("--json", words.json, "for programs");
  if (auto status = parse(app, "simulate", argc, argv)) return *status;
  const bool replays = !words.replay.step.empty() || !words.replay.goalIn.empty();
  Status s = replays ? replay(line, words.replay, words.json) : simulateAll(line, words);
  if (!s.ok()) return complainOfSimulation(s.error());
  return kExitOk;
}

}  // namespace tutti::tools
