// On every machine: at least what NCCL 2.30 finds, by the same link constants, proved feasible; forests near
// the bound.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <sstream>

#include "machines.hpp"
#include "topology/analysis.hpp"
#include "topology/check.hpp"
#include "topology/tour.hpp"

namespace tutti::topology {
namespace {

struct NcclTotals {
  const char* machine;
  double ring1, tree1, nvls1;  // one node
  double ring2, tree2, nvls2;  // two and more
};
// "tot" of NCCL 2.30.7's own search on these files; 0 where it has none.
constexpr NcclTotals kNccl[] = {
    {"aws-g5.48xl", 12, 12, 0, 12, 7, 0},
    {"azure-ncv4", 12, 12, 0, 12, 7, 0},
    {"azure-ndv5", 360, 360, 320, 384, 384, 384},
    {"dgx-a100", 240, 240, 0, 192, 192, 0},
    {"dgx-h100", 360, 360, 320, 384, 384, 384},
    {"gb200-nvl72-tray", 720, 800, 360, 192, 192, 192},
    {"rccl-topo_16p1h-as-nv", 120, 120, 0, 84, 84, 0},
    {"rccl-topo_8p_4nics-as-nv", 15, 15, 0, 15, 15, 0},
    {"rccl-topo_8p_rome_n4-as-nv", 40, 40, 0, 24, 24, 0},
};

double total(const Analysis& a, Pattern pattern) {
  for (const ChannelGraph& g : a.graphs)
    if (nameOf(g.pattern) == nameOf(pattern)) return g.totalGbps();
  return 0;
}

Analysis analysed(Graph& graph, int nodes, const Settings& settings = {}) {
  auto a = analyse(graph, settings, nodes, true);
  EXPECT_TRUE(a.ok()) << a.error().message();
  EXPECT_TRUE(a->refused.empty()) << a->refused.front();
  return std::move(a).value();
}

TEST(Search, ReachesNcclsTotalsOnEveryMachine) {
  for (const NcclTotals& n : kNccl) {
    for (int nodes : {1, 2, 4}) {
      Topology t = load(n.machine);
      Analysis a = analysed(t.graph, nodes);
      const double slack = 1e-6;
      EXPECT_GE(total(a, Pattern::Ring), (nodes == 1 ? n.ring1 : n.ring2) - slack)
          << n.machine << " " << nodes;
      EXPECT_GE(total(a, Pattern::Tree), (nodes == 1 ? n.tree1 : n.tree2) - slack)
          << n.machine << " " << nodes;
      EXPECT_GE(total(a, Pattern::Nvls), (nodes == 1 ? n.nvls1 : n.nvls2) - slack)
          << n.machine << " " << nodes;
    }
  }
}

TEST(Search, ForestsComeWithinFivePercentOfTheBound) {
  for (const std::string& name : machineNames()) {
    for (int nodes : {1, 2, 4}) {
      Topology t = load(name);
      Analysis a = analysed(t.graph, nodes);
      EXPECT_GE(total(a, Pattern::Forest), 0.95 * a.bounds.allGather) << name << " " << nodes;
      EXPECT_LE(total(a, Pattern::Forest), a.bounds.allGather * (1 + 1e-9)) << name << " " << nodes;
    }
  }
}

TEST(Search, NothingBeatsTheBound) {
  for (const std::string& name : machineNames())
    for (int nodes : {1, 2}) {
      Topology t = load(name);
      Analysis a = analysed(t.graph, nodes);
      for (const ChannelGraph& g : a.graphs)
        if (g.pattern != Pattern::Nvls)
          EXPECT_LE(a.efficiency(g, t.graph.ranks.size()), 1 + 1e-9)
              << name << " " << nodes << " " << nameOf(g.pattern);
    }
}

TEST(Search, IsDeterministic) {
  for (const std::string& name : machineNames()) {
    Topology one = load(name);
    Topology two = load(name);
    EXPECT_EQ(analysed(one.graph, 2).hash, analysed(two.graph, 2).hash) << name;
  }
}

TEST(Search, HonoursTheSettings) {
  Topology t = load("dgx-h100");
  Settings s;
  s.crossNic = 0;
  Analysis same = analysed(t.graph, 2, s);
  for (const ChannelGraph& g : same.graphs)
    for (auto [in, out] : g.nets) EXPECT_EQ(in, out);
  s = {};
  s.maxChannels = 3;
  Analysis few = analysed(t.graph, 1, s);
  for (const ChannelGraph& g : few.graphs)
    if (g.pattern == Pattern::Ring || g.pattern == Pattern::Tree) {
      EXPECT_LE(g.channels(), 3);
    }
  s = {};
  s.minChannels = 20;
  Analysis many = analysed(t.graph, 1, s);
  for (const ChannelGraph& g : many.graphs)
    if (g.pattern == Pattern::Ring) {
      EXPECT_GE(g.channels(), 20);
    }
}

TEST(Search, GoldenSummaries) {
  // TUTTI_UPDATE_GOLDEN=1 rewrites them; look at the difference before keeping it.
  std::string now;
  for (const std::string& name : machineNames()) {
    for (int nodes : {1, 2}) {
      Topology t = load(name);
      Analysis a = analysed(t.graph, nodes);
      now += fmt::format("{} nodes {} bound {:.2f} {:.2f} {:.2f}\n", name, nodes, a.bounds.allGather,
                         a.bounds.reduceScatter, a.bounds.allReduce);
      for (const ChannelGraph& g : a.graphs) {
        now += fmt::format("  {} {}ch total {:.2f} {}/{}\n", nameOf(g.pattern), g.channels(), g.totalGbps(),
                           nameOf(g.typeIntra), nameOf(g.typeInter));
      }
    }
  }
  const std::string path = std::string(TUTTI_TEST_DATA) + "/topology/golden/summaries.txt";
  if (std::getenv("TUTTI_UPDATE_GOLDEN")) std::ofstream(path) << now;
  std::ifstream file(path);
  std::stringstream kept;
  kept << file.rdbuf();
  EXPECT_EQ(now, kept.str());
}

TEST(Search, RandomMachinesAreFeasibleAndBelowTheBound) {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    std::string xml = randomMachine(seed);
    for (int nodes : {1, 3}) {
      auto t = readTopologyText(xml, "random");
      ASSERT_TRUE(t.ok()) << t.error().message();
      auto a = analyse(t->graph, {}, nodes, true);
      ASSERT_TRUE(a.ok()) << "seed " << seed << ": " << a.error().message();
      EXPECT_TRUE(a->refused.empty()) << "seed " << seed << ": " << a->refused.front();
      for (const ChannelGraph& g : a->graphs) {
        if (g.pattern != Pattern::Nvls)
          EXPECT_LE(a->efficiency(g, t->graph.ranks.size()), 1 + 1e-6)
              << "seed " << seed << " nodes " << nodes << " " << nameOf(g.pattern);
        if (g.pattern == Pattern::Forest) {
          EXPECT_LE(g.totalGbps(), a->bounds.allGather * (1 + 1e-6)) << seed;
          EXPECT_GE(g.totalGbps(), 0.95 * a->bounds.allGather) << "seed " << seed << " nodes " << nodes;
        }
      }
      auto again = readTopologyText(xml, "random");
      EXPECT_EQ(analyse(again->graph, {}, nodes, false)->hash, a->hash) << seed;
    }
  }
}

TEST(Search, TreesAreNotSlowerThanRings) {
  // A ring cut open is a chain.
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    auto t = readTopologyText(randomMachine(seed), "random");
    ASSERT_TRUE(t.ok()) << t.error().message();
    for (int nodes : {1, 2}) {
      auto a = analyse(t->graph, {}, nodes, true);
      ASSERT_TRUE(a.ok()) << a.error().message();
      double ring = 0;
      double tree = 0;
      for (const ChannelGraph& g : a->graphs) {
        if (g.pattern == Pattern::Ring) ring = g.totalGbps();
        if (g.pattern == Pattern::Tree) tree = g.totalGbps();
      }
      if (nodes == 1) EXPECT_GE(tree, ring * (1 - 1e-9)) << seed;
    }
  }
}

TEST(Search, StarsLeaveOutNicsThatHoldTheOthersBack) {
  auto root = parseXml(*readFileBounded(dataPath("dgx-h100"), 1 << 20), "dgx");
  ASSERT_TRUE(root.ok());
  int net = 0;
  auto narrow = [&](auto&& self, XmlElement& e) -> void {
    if (e.name == "net" && net++ % 4 == 3) e.set("speed", "25000");
    for (XmlElement& c : e.children) self(self, c);
  };
  narrow(narrow, *root);
  auto t = readTopologyText(writeXml(*root), "dgx");
  ASSERT_TRUE(t.ok()) << t.error().message();
  auto a = analyse(t->graph, {}, 2, true);
  ASSERT_TRUE(a.ok());
  bool found = false;
  for (const ChannelGraph& g : a->graphs) {
    if (g.pattern != Pattern::Nvls) continue;
    found = true;
    EXPECT_GE(g.interGbps, 24);
    EXPECT_GE(g.totalGbps(), 250) << "the wide NICs alone";
    for (auto [in, out] : g.nets) EXPECT_GE(t->graph.nodes[t->graph.nets[in]].netGbps, 24);
  }
  EXPECT_TRUE(found);
}

TEST(Search, LargeHostsAreWalkedNumaNodeByNumaNode) {
  // 8 NUMA nodes of 4 L3 groups of 6 cores.
  std::string xml = "<system version=\"1\">";
  int core = 0;
  for (int numa = 0; numa < 8; ++numa) {
    xml += fmt::format("<cpu numaid=\"{}\" affinity=\"ff\" arch=\"x86_64\" vendor=\"AuthenticAMD\">", numa);
    for (int l3 = 0; l3 < 4; ++l3) {
      xml += fmt::format("<l3 id=\"{}\">", 4 * numa + l3);
      for (int c = 0; c < 6; ++c) xml += fmt::format("<core cpu=\"{}\"/>", core++);
      xml += "</l3>";
    }
    xml += "</cpu>";
  }
  auto t = readTopologyText(xml + "</system>", "host");
  ASSERT_TRUE(t.ok()) << t.error().message();
  for (int nodes : {1, 2}) {
    auto a = analyse(t->graph, {}, nodes, true);
    ASSERT_TRUE(a.ok()) << a.error().message();
    EXPECT_TRUE(a->refused.empty()) << a->refused[0];
    for (const ChannelGraph& g : a->graphs) {
      if (g.pattern == Pattern::Forest) EXPECT_GE(g.totalGbps(), 0.95 * a->bounds.allGather) << nodes;
      if (g.pattern != Pattern::Ring) continue;
      for (const std::vector<int>& order : g.orders) {
        int numaBorders = 0;
        int cacheBorders = 0;
        for (size_t i = 0; i < order.size(); ++i) {
          const int next = order[(i + 1) % order.size()];
          numaBorders += order[i] / 24 != next / 24;
          cacheBorders += order[i] / 6 != next / 6;
        }
        EXPECT_EQ(numaBorders, 8);
        EXPECT_EQ(cacheBorders, 32);
      }
    }
  }
}

TEST(Search, RandomSettingsAreFeasibleAndFollowed) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    Settings s;
    s.crossNic = static_cast<int>(random() % 3);
    s.maxChannels = 1 + static_cast<int>(random() % 32);
    s.minChannels = 1 + static_cast<int>(random() % static_cast<uint32_t>(s.maxChannels));
    s.pxn = random() % 2 == 0;
    s.nvb = random() % 2 == 0;
    const PathType levels[] = {PathType::Loc, PathType::Nvl, PathType::Pix,
                               PathType::Phb, PathType::Sys, PathType::Dis};
    s.p2pLevel = levels[random() % 6];
    s.gdrLevel = levels[random() % 6];
    for (int nodes : {1, 2}) {
      auto t = readTopologyText(randomMachine(seed + 1000), "random");
      ASSERT_TRUE(t.ok()) << t.error().message();
      auto a = analyse(t->graph, s, nodes, true);
      ASSERT_TRUE(a.ok()) << "seed " << seed << ": " << a.error().message();
      EXPECT_TRUE(a->refused.empty()) << "seed " << seed << ": " << a->refused.front();
      for (const ChannelGraph& g : a->graphs) {
        if (g.pattern == Pattern::Ring || g.pattern == Pattern::Tree) {
          EXPECT_LE(g.channels(), s.maxChannels) << seed;
          EXPECT_GE(g.channels(), s.minChannels) << seed << " " << nameOf(g.pattern);
        }
      }
    }
  }
}

/// NUMA nodes of unequal numbers of L3 groups of unequal numbers of cores, and NICs by chance.
std::string randomHost(uint32_t seed) {
  std::mt19937 random(seed);
  auto pick = [&](uint32_t low, uint32_t high) { return low + random() % (high - low + 1); };
  std::string text = "<system version=\"1\">\n";
  int cpu = 0;
  int l3 = 0;
  int net = 0;
  const uint32_t numas = pick(1, 4);
  for (uint32_t n = 0; n < numas; ++n) {
    text += fmt::format("<cpu numaid=\"{}\" arch=\"{}\" vendor=\"AuthenticAMD\">", n,
                        pick(0, 1) ? "x86_64" : "arm64");
    for (uint32_t g = pick(1, 4); g > 0; --g) {
      text += fmt::format("<l3 id=\"{}\">", l3++);
      for (uint32_t c = pick(1, 9); c > 0; --c) text += fmt::format("<core cpu=\"{}\"/>", cpu++);
      text += "</l3>";
    }
    if (pick(0, 1) == 1)
      text += fmt::format("<nic><net name=\"e{}\" dev=\"{}\" speed=\"{}\" port=\"1\" guid=\"0x{:x}\"/></nic>",
                          net, net, pick(1, 40) * 10000, net + 1),
          ++net;
    text += "</cpu>\n";
  }
  return text + "</system>\n";
}

TEST(Search, RandomHostMachinesAreFeasibleAndBelowTheBound) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    for (int nodes : {1, 2, 5}) {
      auto t = readTopologyText(randomHost(seed), "host");
      ASSERT_TRUE(t.ok()) << t.error().message();
      auto a = analyse(t->graph, {}, nodes, true);
      ASSERT_TRUE(a.ok()) << a.error().message();
      EXPECT_TRUE(a->refused.empty()) << "seed " << seed << ": " << a->refused.front();
      for (const ChannelGraph& g : a->graphs)
        EXPECT_LE(a->efficiency(g, t->graph.ranks.size()), 1 + 1e-6)
            << "seed " << seed << " nodes " << nodes << " " << nameOf(g.pattern);
      auto again = readTopologyText(randomHost(seed), "host");
      EXPECT_EQ(analyse(again->graph, {}, nodes, false)->hash, a->hash) << seed;
    }
  }
}

TEST(Check, FindsWhatIsWrong) {
  Topology t = load("dgx-a100");
  Analysis a = analysed(t.graph, 1);
  for (const ChannelGraph& g : a.graphs) {
    if (g.pattern == Pattern::Nvls) continue;
    ChannelGraph fast = g;
    fast.intraGbps *= 1.05;
    for (ForestTree& tree : fast.trees) tree.gbps *= 1.05;
    EXPECT_FALSE(checkGraph(t.graph, *a.paths, fast).ok()) << nameOf(g.pattern);
    if (g.pattern == Pattern::Forest) {
      ChannelGraph cut = g;
      cut.trees[0].edges.pop_back();
      EXPECT_FALSE(checkGraph(t.graph, *a.paths, cut).ok());
      ChannelGraph torn = g;
      torn.trees[0].edges[0].links.pop_back();
      EXPECT_FALSE(checkGraph(t.graph, *a.paths, torn).ok());
    } else {
      ChannelGraph twice = g;
      twice.orders[0][1] = twice.orders[0][0];
      EXPECT_FALSE(checkGraph(t.graph, *a.paths, twice).ok());
      ChannelGraph less = g;
      less.orders[0].pop_back();
      EXPECT_FALSE(checkGraph(t.graph, *a.paths, less).ok());
    }
  }
}

TEST(Paths, TypesAreNccls) {
  Topology h = load("dgx-h100");
  Paths p(h.graph, {});
  auto type = [&](int a, int b) { return p.between(a, b).type; };
  const Graph& g = h.graph;
  EXPECT_EQ(type(g.ranks[0], g.ranks[7]), PathType::Nvl);
  EXPECT_NEAR(p.between(g.ranks[0], g.ranks[7]).gbps, 370.8, 1e-9);
  EXPECT_EQ(type(g.ranks[0], g.nets[0]), PathType::Pix);
  EXPECT_EQ(type(g.ranks[1], g.nets[0]), PathType::Pxn);
  EXPECT_EQ(type(g.nets[0], g.ranks[1]), PathType::Phb);
  Topology grace = load("gb200-nvl72-tray");
  Paths q(grace.graph, {});
  EXPECT_EQ(q.between(grace.graph.ranks[0], grace.graph.nets[0]).type, PathType::P2c);
  EXPECT_EQ(q.between(grace.graph.ranks[0], grace.graph.cpus[0]).type, PathType::C2c);
  Topology aws = load("aws-g5.48xl");
  Paths r(aws.graph, {});
  EXPECT_EQ(r.between(aws.graph.ranks[0], aws.graph.ranks[1]).type, PathType::Phb);
  EXPECT_EQ(r.between(aws.graph.ranks[0], aws.graph.ranks[7]).type, PathType::Sys);
}

TEST(Paths, LevelsAreHonoured) {
  EXPECT_EQ(*parseLevel("phb"), PathType::Phb);
  EXPECT_EQ(*parseLevel("0"), PathType::Loc);
  EXPECT_EQ(*parseLevel("9"), PathType::Sys);
  EXPECT_FALSE(parseLevel("near").ok());
  Topology t = load("dgx-h100");
  Settings s;
  s.p2pLevel = PathType::Loc;
  Paths p(t.graph, s);
  EXPECT_EQ(p.between(t.graph.ranks[0], t.graph.ranks[1]).type, PathType::Phb);
}

TEST(Tour, ExactMatchesTryingAll) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    TourProblem p;
    p.count = 2 + static_cast<int>(random() % 5);
    p.closed = round % 2 == 0;
    for (int i = 0; i < p.count * p.count; ++i) p.hop.push_back(static_cast<double>(random() % 100));
    for (int i = 0; i < p.count; ++i) {
      p.entry.push_back(p.closed ? 0 : static_cast<double>(random() % 100));
      p.exit.push_back(p.closed ? 0 : static_cast<double>(random() % 100));
    }
    std::vector<int> order(p.count);
    std::iota(order.begin(), order.end(), 0);
    double best = 1e18;
    do best = std::min(best, p.cost(order));
    while (std::next_permutation(order.begin(), order.end()));
    EXPECT_DOUBLE_EQ(p.cost(cheapestOrder(p, {})), best);
  }
}

TEST(Tour, LargeOnesArePermutationsAndNearlyAsGood) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    TourProblem p;
    p.count = 16;
    p.closed = round % 2 == 0;
    p.entry.assign(16, 0);
    p.exit.assign(16, 0);
    // A hidden ring of cheap hops must be found.
    std::vector<int> hidden(16);
    std::iota(hidden.begin(), hidden.end(), 0);
    std::shuffle(hidden.begin(), hidden.end(), random);
    for (int i = 0; i < 256; ++i) p.hop.push_back(50 + static_cast<double>(random() % 50));
    for (int i = 0; i < 16; ++i) p.hop[static_cast<size_t>(hidden[i]) * 16 + hidden[(i + 1) % 16]] = 1;
    std::vector<int> found = cheapestOrder(p, {});
    EXPECT_LE(p.cost(found), 16.0 + 1e-9);
    std::sort(found.begin(), found.end());
    for (int i = 0; i < 16; ++i) EXPECT_EQ(found[i], i);
  }
}

}  // namespace
}  // namespace tutti::topology
