#include "sim/explain.hpp"

#include <algorithm>

namespace tutti::sim {
namespace {

struct Part {
  const char* name;
  TimePs Split::*value;
};
constexpr Part kParts[] = {
    {"latency", &Split::latency}, {"wire", &Split::wire}, {"reduce", &Split::work}, {"wait", &Split::wait}};

void readLinks(const Network& network, Candidate& c) {
  uint32_t fullest = 0, queue = 0;
  const auto& links = network.links();
  for (uint32_t l = 1; l < links.size(); ++l) {
    if (links[l].busy > links[fullest].busy) fullest = l;
    if (links[l].queued > links[queue].queued) queue = l;
  }
  c.fullestLink = network.linkName(fullest);
  if (c.time > 0) c.fullestBusy = static_cast<double>(links[fullest].busy) / static_cast<double>(c.time);
  if (links[queue].queued > 0) c.longestQueue = network.linkName(queue);
}

/// What it spends more on than the winner, the largest first.
std::string whyLost(const Candidate& loser, const Candidate& winner) {
  std::string text =
      fmt::format("{:.2f} times as long", static_cast<double>(loser.time) / static_cast<double>(winner.time));
  std::vector<std::pair<TimePs, const char*>> more;
  for (const Part& part : kParts) {
    const TimePs difference = loser.split.*part.value - winner.split.*part.value;
    if (10 * difference > loser.time - winner.time) more.emplace_back(difference, part.name);
  }
  std::sort(more.begin(), more.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [difference, name] : more)
    text += fmt::format(", {:+.2f} us {}", usFromPs(difference), name);
  if (!more.empty() && std::string_view(more.front().second) == "wait" && !loser.longestQueue.empty())
    text += fmt::format(" (queue at {})", loser.longestQueue);
  if (!more.empty() && std::string_view(more.front().second) == "wire")
    text += fmt::format(" ({} is {:.0f} % busy)", loser.fullestLink, loser.fullestBusy * 100);
  return text;
}

constexpr const char* kOnlyPriced[] = {"nvls", "nvlstree", "pat"};
constexpr const char* kLL128 = "/ll128";

bool isOnlyPriced(std::string_view name) {
  const std::string_view algorithm = name.substr(0, name.find('/'));
  return (name.size() > 6 && name.substr(name.size() - 6) == kLL128) ||
         std::find(std::begin(kOnlyPriced), std::end(kOnlyPriced), algorithm) != std::end(kOnlyPriced);
}

std::vector<Priced> pricesOf(const Scenario& scenario, const std::vector<std::string>& without) {
  std::vector<Priced> priced;
  if (!scenario.cluster || scenario.cluster->kinds.size() != 1) return priced;
  const topology::Graph& graph = scenario.cluster->kinds[0];
  if (graph.hostRanks || graph.ranks.empty() || (graph.nets.empty() && scenario.cluster->hosts() > 1))
    return priced;
  const GpuMachine machine =
      GpuMachine::of(graph, scenario.settings, scenario.cluster->hosts(), scenario.machines.nicGbps);
  const double bytes = algorithmBytes(scenario.request);
  for (const GpuPrice& price : gpuPrices(machine, scenario.request.collective)) {
    const std::string name = price.name();
    auto names = [&](const std::string& left) { return left == name || left == nameOf(price.algorithm); };
    if (std::any_of(without.begin(), without.end(), names)) continue;
    Priced p;
    p.name = name;
    p.timeUs = timeUs(price, machine, scenario.request.collective, bytes);
    p.latencyUs = timeUs(price, machine, scenario.request.collective, 0);
    p.wireUs = p.timeUs - p.latencyUs;
    priced.push_back(std::move(p));
  }
  std::stable_sort(priced.begin(), priced.end(),
                   [](const Priced& a, const Priced& b) { return a.timeUs < b.timeUs; });
  for (Priced& p : priced) {
    const Priced& best = priced.front();
    if (&p == &best) {
      p.verdict = "chosen";
      continue;
    }
    p.verdict = fmt::format("{:.2f} times as long, {:+.1f} us latency, {:+.1f} us wire",
                            p.timeUs / best.timeUs, p.latencyUs - best.latencyUs, p.wireUs - best.wireUs);
  }
  return priced;
}

/// Above so many, schemes that cannot be the fastest are not played.
constexpr int kManyRanks = 2048;

std::vector<std::pair<double, Scheme>> byLeastTime(const Scenario& scenario, const Network& network) {
  std::vector<std::pair<double, Scheme>> found;
  for (Scheme& scheme : schemesFor(scenario, network)) {
    auto least = leastUs(scenario, scheme, network);
    found.emplace_back(least.ok() ? *least : 0, std::move(scheme));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return found;
}

bool isLeftOut(const Scheme& scheme, const std::vector<std::string>& without) {
  for (const std::string& name : without) {
    if (scheme.name == name || scheme.name.substr(0, scheme.name.find('/')) == name ||
        (scheme.twoLevel && name == "2level")) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<Explanation> explain(const Scenario& scenario, Network& network,
                            const std::vector<std::string>& without) {
  for (const std::string& name : without)
    TUTTI_TRY([&]() -> Status {
      if (isOnlyPriced(name)) return {};
      auto scheme = schemeFromName(name);
      if (!scheme.ok()) return std::move(scheme).error().context("without");
      return {};
    }());
  Explanation result;
  TimePs best = kUnknown;
  for (const auto& [least, scheme] : byLeastTime(scenario, network)) {
    if (isLeftOut(scheme, without)) continue;
    Candidate c;
    c.scheme = scheme;
    if (network.nRanks() > kManyRanks && best != kUnknown && psFromUs(least) > best) {
      c.refused = fmt::format("it takes {:.0f} us at least", least);
      result.candidates.push_back(std::move(c));
      continue;
    }
    auto prepared = prepare(scenario, scheme, network);
    if (!prepared.ok()) {
      c.refused = prepared.error().message();
      result.candidates.push_back(std::move(c));
      continue;
    }
    prepared->options.split = true;
    auto report = simulate(network, prepared->workload, prepared->options);
    if (!report.ok()) {
      c.refused = report.error().message();
      result.candidates.push_back(std::move(c));
      continue;
    }
    c.time = report->end;
    best = std::min(best, c.time);
    c.split = report->split;
    c.notes = prepared->notes;
    readLinks(network, c);
    const auto* cluster = dynamic_cast<const ClusterNetwork*>(&network);
    if (cluster != nullptr && cluster->hostRanks() && cluster->machines() == 1) {
      algos::Request request = scenario.request;
      request.nRanks = network.nRanks();
      c.modelUs = algos::predictUs(request, scheme.algorithm, scheme.protocol, algos::Machine());
    }
    result.candidates.push_back(std::move(c));
  }
  if (result.candidates.empty()) {
    return makeError(Code::InvalidUsage, "no algorithm is left for {} here",
                     algos::nameOf(scenario.request.collective));
  }
  std::stable_sort(result.candidates.begin(), result.candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.refused.empty() != b.refused.empty() ? a.refused.empty() : a.time < b.time;
                   });
  const Candidate& winner = result.candidates.front();
  if (!winner.refused.empty())
    return makeError(Code::InvalidUsage, "{}: {}", winner.scheme.name, winner.refused);
  for (Candidate& c : result.candidates) {
    if (c.refused.empty()) c.verdict = &c == &winner ? "chosen" : whyLost(c, winner);
  }
  result.priced = pricesOf(scenario, without);
  return result;
}

}  // namespace tutti::sim
