// tutti explain: the algorithms that can do a call, what each one's time goes into, and why the others lost.
#include "sim/explain.hpp"

#include <nlohmann/json.hpp>

#include "parse.hpp"
#include "simulate/scenario_line.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using nlohmann::ordered_json;
using sim::usFromPs;

void printTable(const sim::Scenario& scenario, const sim::Network& network, const sim::Explanation& e) {
  const algos::Request& r = scenario.request;
  fmt::print("# SIMULATION, not a measurement: {} of {} bytes; {}\n", algos::nameOf(r.collective),
             static_cast<uint64_t>(sim::algorithmBytes(r)), network.describe());
  for (const std::string& note : e.candidates.front().notes) fmt::print("# {}\n", note);
  fmt::print(
      "# reduce: reducing, copying and handling messages; the parts are those of the slowest chain of "
      "events\n#\n");
  fmt::print("# {:>22} {:>12} {:>11} {:>11} {:>11} {:>11}\n", "(us)", "time", "latency", "wire", "reduce",
             "wait");
  for (const sim::Candidate& c : e.candidates) {
    if (!c.refused.empty()) {
      fmt::print("  {:>22} {:>12}  not simulated: {}\n", c.scheme.name, "-", c.refused);
      continue;
    }
    fmt::print("  {:>22} {:>12.2f} {:>11.2f} {:>11.2f} {:>11.2f} {:>11.2f}  {}\n", c.scheme.name,
               usFromPs(c.time), usFromPs(c.split.latency), usFromPs(c.split.wire), usFromPs(c.split.work),
               usFromPs(c.split.wait), c.verdict);
    if (c.modelUs > 0) fmt::print("  {:>22} {:>12.2f}\n", "cost model says", c.modelUs);
  }
  const sim::Candidate& best = e.candidates.front();
  fmt::print("#\n# bottleneck of {}: {}, {:.0f} % busy\n", best.scheme.name, best.fullestLink,
             best.fullestBusy * 100);
  if (!best.longestQueue.empty()) fmt::print("# longest queue: {}\n", best.longestQueue);
  if (e.priced.empty()) return;
  fmt::print(
      "#\n# Cost model of GPU machines: this topology's channels, constants that NCCL publishes for its "
      "tuner\n"
      "# {:>22} {:>12} {:>11} {:>11}\n",
      "(us)", "time", "latency", "wire");
  for (const sim::Priced& p : e.priced)
    fmt::print("  {:>22} {:>12.2f} {:>11.2f} {:>11.2f}  {}\n", p.name, p.timeUs, p.latencyUs, p.wireUs,
               p.verdict);
}

void printJson(const sim::Scenario& scenario, const sim::Network& network, const sim::Explanation& e) {
  ordered_json j;
  j["simulation"] = true;
  j["collective"] = algos::nameOf(scenario.request.collective);
  j["ranks"] = scenario.request.nRanks;
  j["bytes"] = static_cast<uint64_t>(sim::algorithmBytes(scenario.request));
  j["network"] = network.describe();
  j["candidates"] = ordered_json::array();
  for (const sim::Candidate& c : e.candidates) {
    ordered_json row{{"algo", c.scheme.name}};
    if (!c.refused.empty()) {
      row["refused"] = c.refused;
      j["candidates"].push_back(std::move(row));
      continue;
    }
    row["time_us"] = usFromPs(c.time);
    row["latency_us"] = usFromPs(c.split.latency);
    row["wire_us"] = usFromPs(c.split.wire);
    row["reduce_us"] = usFromPs(c.split.work);
    row["wait_us"] = usFromPs(c.split.wait);
    row["bottleneck"] = {{"link", c.fullestLink}, {"busy", c.fullestBusy}};
    if (!c.longestQueue.empty()) row["longest_queue"] = c.longestQueue;
    if (c.modelUs > 0) row["model_us"] = c.modelUs;
    row["verdict"] = c.verdict;
    row["notes"] = c.notes;
    j["candidates"].push_back(std::move(row));
  }
  if (!e.priced.empty()) j["cost_model"] = ordered_json::array();
  for (const sim::Priced& p : e.priced) {
    j["cost_model"].push_back({{"algo", p.name},
                               {"time_us", p.timeUs},
                               {"latency_us", p.latencyUs},
                               {"wire_us", p.wireUs},
                               {"verdict", p.verdict}});
  }
  fmt::print("{}\n", j.dump(1));
}

Status explainAll(const ScenarioLine& line, const std::vector<std::string>& without, bool json) {
  if (!line.hasCollective()) return makeError(Code::InvalidArgument, "say which collective: allreduce, ...");
  TUTTI_ASSIGN(sim::Scenario scenario, line.scenario());
  TUTTI_ASSIGN(std::vector<size_t> sizes, line.sizes());
  TUTTI_ASSIGN(std::unique_ptr<sim::Network> network, sim::makeNetwork(scenario));
  for (size_t bytes : sizes) {
    sim::setSize(scenario.request, bytes);
    TUTTI_ASSIGN(sim::Explanation e, sim::explain(scenario, *network, without));
    json ? printJson(scenario, *network, e) : printTable(scenario, *network, e);
  }
  return {};
}

}  // namespace

int explainMain(int argc, char** argv) {
  CLI::App app("Which algorithm a call would get, what its time goes into, and why the others lost",
               "tutti explain");
  ScenarioLine line;
  std::vector<std::string> without;
  bool json = false;
  line.addTo(app);
  app.add_option("--without", without, "leave out an algorithm: ring, tree/ll, 2level, nvls, ...");
  app.add_flag("--json", json, "for programs");
  if (auto status = parse(app, "explain", argc, argv)) return *status;
  if (Status s = explainAll(line, without, json); !s.ok()) {
    fmt::print(stderr, "tutti explain: {}\n", s.error().message());
    return s.error().code() == Code::InvalidArgument ? kExitUsage : kExitFailed;
  }
  return kExitOk;
}

}  // namespace tutti::tools
