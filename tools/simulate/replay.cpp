#include "simulate/replay.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/bytes.hpp"
#include "sim/goal.hpp"
#include "sim/step_file.hpp"

namespace tutti::tools {
namespace {

using nlohmann::ordered_json;
using sim::usFromPs;

// Messages of a step's calls, where nobody says otherwise: steps have many calls.
constexpr size_t kStepSlotBytes = size_t{2} << 20;

Result<std::string> readText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in || in.bad()) return makeError(Code::InvalidArgument, "{} cannot be read", path);
  return text.str();
}

sim::Costs costsOf(const sim::Scenario& scenario, const sim::Network& network) {
  if (scenario.costs) return *scenario.costs;
  const auto* cluster = dynamic_cast<const sim::ClusterNetwork*>(&network);
  return cluster != nullptr && cluster->hostRanks() ? sim::Costs::ofHost(algos::Machine())
                                                    : sim::Costs::ofGpu();
}

Status playGoal(const sim::Scenario& scenario, sim::Network& network, const ReplayWords& words, bool json) {
  TUTTI_ASSIGN(std::string text, readText(words.goalIn));
  auto goal = sim::parseGoal(text);
  if (!goal.ok()) return std::move(goal).error().context(words.goalIn);
  const sim::Costs costs = costsOf(scenario, network);
  TUTTI_ASSIGN(sim::GoalReport report, sim::simulateGoal(network, *goal, costs.sendUs, costs.recvUs));
  if (json) {
    ordered_json j{{"simulation", true},
                   {"ranks", goal->ranks.size()},
                   {"time_us", usFromPs(report.end)},
                   {"operations", report.operations},
                   {"messages", report.messages},
                   {"network", network.describe()}};
    fmt::print("{}\n", j.dump(1));
    return {};
  }
  fmt::print("# SIMULATION, not a measurement: {}\n", network.describe());
  fmt::print("# overheads {} us a send, {} us a receive (--overhead-us)\n", costs.sendUs, costs.recvUs);
  fmt::print("{} ranks, {} operations, {} messages: {:.3f} us\n", goal->ranks.size(), report.operations,
             report.messages, usFromPs(report.end));
  return {};
}

Status playStep(const sim::Scenario& scenario, sim::Network& network, const ReplayWords& words, bool json) {
  TUTTI_ASSIGN(std::string text, readText(words.step));
  algos::Limits limits;
  limits.slotBytes = scenario.slotBytes > 0 ? scenario.slotBytes : kStepSlotBytes;
  limits.depth = scenario.depth;
  TUTTI_ASSIGN(sim::StepFile step, sim::parseStepFile(text, words.step, limits));
  if (step.workload.nRanks != network.nRanks())
    return makeError(Code::InvalidArgument, "{}: its grid has {} ranks, the machines have {}", words.step,
                     step.workload.nRanks, network.nRanks());
  sim::Options options;
  options.costs = costsOf(scenario, network);
  options.seed = scenario.seed;
  options.skewUs = scenario.skewUs;
  options.slowRanks = scenario.slowRanks;
  sim::Trace trace;
  const bool draws = !words.trace.empty() || !words.html.empty();
  if (draws) options.recorder = &trace;
  TUTTI_ASSIGN(sim::Report report, sim::simulate(network, step.workload, options));
  if (draws) TUTTI_TRY(writeDrawings(trace, step.workload, network, report, step.name, words));
  const sim::StepTimes times = sim::timesOf(report);
  ordered_json items = ordered_json::array();
  for (size_t i = 0; i < step.workload.items.size(); ++i) {
    const sim::ItemReport& r = report.items[i];
    if (r.begin == sim::kUnknown) continue;  // no rank took part
    items.push_back({{"name", step.workload.items[i].name},
                     {"begin_us", usFromPs(r.begin)},
                     {"end_us", usFromPs(r.end)},
                     {"compute", step.workload.items[i].computes}});
  }
  if (json) {
    ordered_json j{{"simulation", true},
                   {"step", step.name},
                   {"ranks", step.workload.nRanks},
                   {"iteration_us", times.iterationUs},
                   {"compute_us", times.computeUs},
                   {"exposed_us", times.exposedUs},
                   {"events", report.events},
                   {"wall_s", report.wallSeconds},
                   {"network", network.describe()},
                   {"items", std::move(items)}};
    fmt::print("{}\n", j.dump(1));
    return {};
  }
  fmt::print("# SIMULATION, not a measurement: {}\n# {}\n", network.describe(), step.name);
  fmt::print("# messages of up to {}; algorithms as the file says, else ring and pairwise\n#\n",
             formatBytes(static_cast<int64_t>(limits.slotBytes)));
  fmt::print("# {:>32} {:>13} {:>13} {:>13}\n", "(us)", "begin", "end", "from to");
  for (const ordered_json& item : items) {
    const double begin = item["begin_us"], end = item["end_us"];
    fmt::print("  {:>32} {:>13.2f} {:>13.2f} {:>13.2f}{}\n", item["name"].get<std::string>(), begin, end,
               end - begin, item["compute"].get<bool>() ? "  compute" : "");
  }
  fmt::print("#\n# iteration {:.2f} us, computing {:.2f} us, exposed communication {:.2f} us ({:.1f} %)\n",
             times.iterationUs, times.computeUs, times.exposedUs,
             times.iterationUs > 0 ? times.exposedUs / times.iterationUs * 100 : 0);
  return {};
}

}  // namespace

Status writeText(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) return makeError(Code::SystemError, "{}: cannot be written", path);
  return {};
}

Status writeDrawings(const sim::Trace& trace, const sim::Workload& workload, const sim::Network& network,
                     const sim::Report& report, const std::string& title, const ReplayWords& words) {
  if (!words.trace.empty()) TUTTI_TRY(writeText(words.trace, sim::traceJson(trace, workload, network)));
  if (!words.html.empty())
    TUTTI_TRY(writeText(words.html, sim::tracePage(trace, workload, network, title, report)));
  return {};
}

Status replay(const ScenarioLine& line, const ReplayWords& words, bool json) {
  TUTTI_ASSIGN(sim::Scenario scenario, line.scenario());
  TUTTI_ASSIGN(std::unique_ptr<sim::Network> network, sim::makeNetwork(scenario));
  if (!words.goalIn.empty()) return playGoal(scenario, *network, words, json);
  return playStep(scenario, *network, words, json);
}

}  // namespace tutti::tools
