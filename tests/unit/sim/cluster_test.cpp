// Networks built from the topology room's machines: routes that hold together, bandwidths that add up.
#include <gtest/gtest.h>

#include <set>

#include "sim/cluster_network.hpp"
#include "sim/simulate.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::sim {
namespace {

using namespace algos;  // NOLINT

topology::Graph machine(const char* file) {
  auto t = topology::readTopologyFile(std::string(TUTTI_TEST_DATA "/topology/") + file);
  EXPECT_TRUE(t.ok()) << t.error().message();
  return std::move(t->graph);
}

std::unique_ptr<ClusterNetwork> clusterNet(const char* file, int machines, ClusterOptions options = {},
                                           topology::FabricFile fabric = {}) {
  auto net = ClusterNetwork::make(clusterOf(machine(file), machines, std::move(fabric)), {}, options);
  EXPECT_TRUE(net.ok()) << net.error().message();
  return std::move(net).value();
}

/// Time of one message from rank to rank: a Broadcast on a pair.
double pairUs(Network& net, int from, int to, size_t bytes) {
  Request r;
  r.collective = Collective::Broadcast;
  r.nRanks = 2;
  r.count = bytes;
  r.type = DataType::Int8;
  Limits limits;
  limits.slotBytes = 1 << 30;
  Workload w = Workload::single(r, Algorithm::Ring, Protocol::Simple, limits);
  w.nRanks = net.nRanks();
  Groups pair;
  pair.size = 2;
  pair.order = {from, to};
  pair.positionOf.assign(static_cast<size_t>(net.nRanks()), -1);
  pair.positionOf[from] = 0;
  pair.positionOf[to] = 1;
  w.items[0].groups = pair;
  auto report = simulate(net, w, {});
  EXPECT_TRUE(report.ok()) << report.error().message();
  return usFromPs(report->end);
}

TEST(ClusterNetwork, DgxInside) {
  auto net = clusterNet("dgx-h100.xml", 1);
  EXPECT_EQ(net->nRanks(), 8);
  Route route;
  net->route(0, 5, 0, route);
  ASSERT_EQ(route.size(), 2u) << "up to the switches and down";
  EXPECT_NE(net->linkName(route[0]).find("GPU 0"), std::string::npos) << net->linkName(route[0]);
  EXPECT_NEAR(pairUs(*net, 0, 5, 370'800'000), 1000, 30);
}

TEST(ClusterNetwork, RailsStayOnTheirLeaf) {
  auto net = clusterNet("dgx-h100.xml", 64);
  EXPECT_EQ(net->ways(3, 8 * 20 + 3), 1u) << "same rail, same leaf";
  EXPECT_EQ(net->ways(3, 8 * 40 + 3), 32u) << "same rail, another leaf: any spine";
  Route same, far;
  net->route(3, 8 * 20 + 3, 0, same);
  EXPECT_EQ(same.size(), 2u) << "NIC out, NIC in: PCIe and port are one link";
  net->route(3, 8 * 40 + 4, 7, far);
  EXPECT_EQ(far.size(), 4u);
  EXPECT_NE(net->linkName(far[1]).find("leaf 0 rail"), std::string::npos) << net->linkName(far[1]);
  EXPECT_NE(net->linkName(far[1]).find("spine 7"), std::string::npos) << net->linkName(far[1]);
  EXPECT_NEAR(pairUs(*net, 3, 8 * 40 + 3, 48'000'000), 1000, 30);
}

TEST(ClusterNetwork, NicBandwidthWhatIf) {
  ClusterOptions o;
  o.nicGbps = 25;
  EXPECT_NEAR(pairUs(*clusterNet("dgx-h100.xml", 2, o), 0, 8, 25'000'000), 1000, 30);
}

TEST(ClusterNetwork, RailOnlyChangesRailInside) {
  topology::FabricFile fabric;
  fabric.railOnly = true;
  auto net = clusterNet("dgx-h100.xml", 64, {}, fabric);
  Route route;
  net->route(0, 8 * 20 + 5, 0, route);
  EXPECT_EQ(route.size(), 4u) << "NVLink up and down, NIC out, NIC in";
  for (uint32_t l : route) EXPECT_EQ(net->linkName(l).find("spine"), std::string::npos);
}

TEST(ClusterNetwork, EveryPairOfEveryFabricHasItsWays) {
  for (FabricKind kind : {FabricKind::RailTree, FabricKind::Clos, FabricKind::Torus, FabricKind::Dragonfly}) {
    for (int machines : {2, 12, 100, 300}) {
      ClusterOptions o;
      o.fabric = kind;
      o.radix = 8;  // small switches: three levels early
      auto net = clusterNet("azure-ncv4.xml", machines, o);
      const int step = std::max(1, net->nRanks() / 37);
      for (int a = 0; a < net->nRanks(); a += step) {
        for (int b = 0; b < net->nRanks(); b += step) {
          if (a == b) continue;
          std::set<Route> seen;
          for (uint64_t w = 0; w < net->ways(a, b); ++w) {
            Route route;
            net->route(a, b, w, route);
            EXPECT_FALSE(route.empty());
            std::set<uint32_t> once(route.begin(), route.end());
            EXPECT_EQ(once.size(), route.size()) << "a way takes a link once";
            for (uint32_t l : route) ASSERT_LT(l, net->links().size());
            seen.insert(route);
          }
          if (kind != FabricKind::Torus && machines > 1) {
            EXPECT_EQ(seen.size(), net->ways(a, b)) << nameOf(kind) << " " << a << " " << b;
          }
        }
      }
      std::set<std::string> names;
      for (uint32_t l = 0; l < net->links().size(); ++l) names.insert(net->linkName(l));
      EXPECT_EQ(names.size(), net->links().size()) << nameOf(kind) << " " << machines;
    }
  }
}

TEST(ClusterNetwork, OversubscriptionHalvesWhatCrosses) {
  // All ranks of 4 machines send to 4 others, all over the top: half the spines, twice the time.
  Request r;
  r.collective = Collective::Broadcast;
  r.nRanks = 2;
  r.count = 48'000'000;
  r.type = DataType::Int8;
  Limits limits;
  limits.slotBytes = 1 << 30;
  double times[2];
  for (int i = 0; i < 2; ++i) {
    ClusterOptions o;
    o.fabric = FabricKind::Clos;
    o.radix = 16;  // a machine's 8 NICs fill a leaf
    o.oversubscription = i + 1;
    auto net = clusterNet("dgx-h100.xml", 8, o);
    net->adaptive = true;
    Workload w = Workload::single(r, Algorithm::Ring, Protocol::Simple, limits);
    w.nRanks = 64;
    w.items[0].groups = {2, 32, {}, {}, {}, {}};
    auto report = simulate(*net, w, {});
    ASSERT_TRUE(report.ok()) << report.error().message();
    times[i] = usFromPs(report->end);
  }
  EXPECT_NEAR(times[0], 1000, 10);
  EXPECT_NEAR(times[1], 2000, 50) << "ports are a little faster than PCIe";
}

TEST(ClusterNetwork, SitesAreJoinedByOneNarrowLink) {
  topology::Cluster cluster = clusterOf(machine("dgx-h100.xml"), 4);
  cluster.siteOf = {0, 0, 1, 1};
  cluster.fabric.siteGbps = 5;
  auto net = ClusterNetwork::make(cluster, {}, {});
  ASSERT_TRUE(net.ok());
  EXPECT_NEAR(pairUs(**net, 0, 16, 10'000'000), 1100, 20) << "10 GB/s for two machines, 100 us away";
}

TEST(ClusterNetwork, BadShapes) {
  ClusterOptions o;
  o.fabric = FabricKind::Torus;
  o.torus = {2, 3};
  EXPECT_FALSE(ClusterNetwork::make(clusterOf(machine("dgx-h100.xml"), 8), {}, o).ok());
  o = {};
  o.radix = 1;
  EXPECT_FALSE(ClusterNetwork::make(clusterOf(machine("dgx-h100.xml"), 8), {}, o).ok());
  EXPECT_FALSE(fabricFromName("ring").ok());
}

TEST(ClusterNetwork, AllSharedMachinesSimulate) {
  for (const char* file : {"aws-g5.48xl.xml", "azure-ncv4.xml", "azure-ndv5.xml", "dgx-a100.xml",
                           "dgx-h100.xml", "gb200-nvl72-tray.xml", "rccl-topo_16p1h-as-nv.xml",
                           "rccl-topo_8p_4nics-as-nv.xml", "rccl-topo_8p_rome_n4-as-nv.xml"}) {
    auto net = clusterNet(file, 4);
    Request r;
    r.nRanks = net->nRanks();
    r.count = 1 << 20;
    Options o;
    o.costs = Costs::ofGpu();
    auto report = simulate(*net, Workload::single(r, Algorithm::Ring, Protocol::Simple, {}), o);
    EXPECT_TRUE(report.ok()) << file << ": " << report.error().message();
  }
}

}  // namespace
}  // namespace tutti::sim
