// The closed-form cost model of GPU machines against NCCL's own tuner (tests/data/nccl-tuning.txt).
#include "sim/gpu_cost.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "topology/xml_nccl.hpp"

namespace tutti::sim {
namespace {

using algos::Collective;

constexpr const char* kColumns[] = {"ring/ll",    "ring/ll128",  "ring/simple", "tree/ll",
                                    "tree/ll128", "tree/simple", "nvls/simple", "nvlstree/simple"};
constexpr size_t kRingAndTree = 6;

struct Row {
  std::string machine;
  int nodes = 0;
  Collective collective{};
  std::map<std::string, GpuPrice> prices;  ///< what NCCL says
};

std::vector<Row> tables() {
  std::ifstream in(std::string(TUTTI_TEST_DATA) + "/nccl-tuning.txt");
  std::vector<Row> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Row row;
    std::string collective;
    words >> row.machine >> row.nodes >> collective;
    row.collective = *algos::collectiveFromName(collective);
    for (const char* column : kColumns) {
      GpuPrice p;
      char slash = 0;
      words >> p.latencyUs >> slash >> p.gbps;
      const std::string name = column;
      p.algorithm = name[0] == 'r'                   ? GpuAlgorithm::Ring
                    : name[0] == 't'                 ? GpuAlgorithm::Tree
                    : name.find("tree") == name.npos ? GpuAlgorithm::Nvls
                                                     : GpuAlgorithm::NvlsTree;
      p.protocol = name.find("128") != name.npos   ? GpuProtocol::LL128
                   : name.find("/ll") != name.npos ? GpuProtocol::LL
                                                   : GpuProtocol::Simple;
      if (p.gbps > 0) row.prices[name] = p;
    }
    EXPECT_FALSE(words.fail()) << line;
    rows.push_back(std::move(row));
  }
  return rows;
}

GpuMachine machineOf(const std::string& name, int nodes) {
  auto topology = topology::readTopologyFile(std::string(TUTTI_TEST_DATA) + "/topology/" + name + ".xml");
  EXPECT_TRUE(topology.ok()) << name;
  if (!topology.ok()) return {};
  return GpuMachine::of(std::move(topology->graph), topology::Settings(), nodes);
}

struct Score {
  int cells = 0, winners = 0, orders = 0, pairs = 0, pairsRight = 0;
  void add(const Score& o) {
    cells += o.cells;
    winners += o.winners;
    orders += o.orders;
    pairs += o.pairs;
    pairsRight += o.pairsRight;
  }
  static double percent(int part, int whole) { return whole == 0 ? 100 : 100.0 * part / whole; }
};

using Clock = double (*)(const GpuPrice&, const GpuMachine&, Collective, double);
double plain(const GpuPrice& p, const GpuMachine&, Collective, double bytes) {
  return p.latencyUs + bytes / (1000 * p.gbps);
}

/// Cells are powers of two from 8 B to 1 GB. NCCL's own times take the same corrections by size as ours.
Score compare(const Row& row, const GpuMachine& machine, Clock clock) {
  Score score;
  std::map<std::string, GpuPrice> ours;
  for (const GpuPrice& p : gpuPrices(machine, row.collective)) ours[p.name()] = p;
  std::vector<std::string> names;
  for (size_t i = 0; i < kRingAndTree; ++i)
    if (row.prices.count(kColumns[i]) + ours.count(kColumns[i]) > 0) names.emplace_back(kColumns[i]);
  for (double bytes = 8; bytes <= 1 << 30; bytes *= 2) {
    auto order = [&](const std::map<std::string, GpuPrice>& prices) {
      std::vector<std::pair<double, std::string>> times;
      for (const std::string& name : names) {
        const auto at = prices.find(name);
        times.emplace_back(at == prices.end() ? INFINITY : clock(at->second, machine, row.collective, bytes),
                           name);
      }
      std::stable_sort(times.begin(), times.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      return times;
    };
    const auto theirs = order(row.prices), mine = order(ours);
    ++score.cells;
    score.winners += theirs[0].second == mine[0].second;
    bool same = true;
    for (size_t i = 0; i < names.size(); ++i) same = same && theirs[i].second == mine[i].second;
    score.orders += same;
    auto rank = [](const auto& list, const std::string& name) {
      return std::find_if(list.begin(), list.end(), [&](const auto& e) { return e.second == name; }) -
             list.begin();
    };
    for (size_t i = 0; i < names.size(); ++i) {
      for (size_t k = i + 1; k < names.size(); ++k) {
        ++score.pairs;
        score.pairsRight += (rank(theirs, names[i]) < rank(theirs, names[k])) ==
                            (rank(mine, names[i]) < rank(mine, names[k]));
      }
    }
  }
  return score;
}

TEST(GpuCost, OrdersAlternativesLikeNccl) {
  const std::vector<Row> rows = tables();
  ASSERT_GT(rows.size(), 100u);
  const bool verbose = std::getenv("TUTTI_TEST_VERBOSE") != nullptr;
  for (const auto& [what, clock] : {std::pair<const char*, Clock>{"as NCCL chooses", timeUs},
                                    std::pair<const char*, Clock>{"latency + bytes / bandwidth", plain}}) {
    Score all, allReduce;
    std::map<std::string, Score> byMachine;
    for (const Row& row : rows) {
      const GpuMachine machine = machineOf(row.machine, row.nodes);
      const Score score = compare(row, machine, clock);
      all.add(score);
      if (row.collective == Collective::AllReduce) allReduce.add(score);
      byMachine[row.machine + (row.nodes > 1 ? " +" : " 1")].add(score);
      if (!verbose) continue;
      for (const GpuPrice& p : gpuPrices(machine, row.collective)) {
        const auto at = row.prices.find(p.name());
        const bool there = at != row.prices.end();
        const double lat = there ? at->second.latencyUs : 0, bw = there ? at->second.gbps : 0;
        if (std::abs(p.latencyUs - lat) > 0.06 || std::abs(p.gbps - bw) > 0.02 * bw)
          std::printf("  %s %d %d %s: %.1f/%.1f, NCCL %.1f/%.1f\n", row.machine.c_str(), row.nodes,
                      static_cast<int>(row.collective), p.name().c_str(), p.latencyUs, p.gbps, lat, bw);
      }
    }
    std::printf("[ %s ]\n", what);
    for (const auto& [name, s] : byMachine) {
      std::printf("  %-30s %5d cells  same choice %5.1f %%  same order %5.1f %%  pairs %5.1f %%\n",
                  name.c_str(), s.cells, Score::percent(s.winners, s.cells),
                  Score::percent(s.orders, s.cells), Score::percent(s.pairsRight, s.pairs));
    }
    std::printf("  %-30s %5d cells  same choice %5.1f %%  same order %5.1f %%  pairs %5.1f %%\n", "AllReduce",
                allReduce.cells, Score::percent(allReduce.winners, allReduce.cells),
                Score::percent(allReduce.orders, allReduce.cells),
                Score::percent(allReduce.pairsRight, allReduce.pairs));
    std::printf("  %-30s %5d cells  same choice %5.1f %%  same order %5.1f %%  pairs %5.1f %%\n", "all",
                all.cells, Score::percent(all.winners, all.cells), Score::percent(all.orders, all.cells),
                Score::percent(all.pairsRight, all.pairs));
    EXPECT_GE(Score::percent(allReduce.winners, allReduce.cells), 90) << what;
    EXPECT_GE(Score::percent(allReduce.pairsRight, allReduce.pairs), 90) << what;
    EXPECT_GE(Score::percent(all.winners, all.cells), 90) << what;
  }
}

}  // namespace
}  // namespace tutti::sim
