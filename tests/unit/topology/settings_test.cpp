// The user's parameters, one by one: read from the environment, and followed by paths and searches.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/param.hpp"
#include "machines.hpp"
#include "topology/analysis.hpp"

namespace tutti::topology {
namespace {

class Given {
 public:
  Given(const char* name, const char* value) : name_(name) {
    setenv(name, value, 1);
    params::reload();
  }
  ~Given() {
    unsetenv(name_);
    params::reload();
  }

 private:
  const char* name_;
};

Analysis analysed(Graph& graph, int nodes, const Settings& settings) {
  auto a = analyse(graph, settings, nodes, true);
  EXPECT_TRUE(a.ok()) << a.error().message();
  EXPECT_TRUE(a->refused.empty());
  return std::move(a).value();
}

const ChannelGraph& ringOf(const Analysis& a) {
  for (const ChannelGraph& g : a.graphs)
    if (g.pattern == Pattern::Ring) return g;
  static const ChannelGraph kNone;
  ADD_FAILURE() << "no ring";
  return kNone;
}

TEST(SettingsFromParams, EachIsRead) {
  const Settings defaults = settingsFromParams().value();
  EXPECT_EQ(defaults.p2pLevel, PathType::Dis);
  EXPECT_EQ(defaults.crossNic, 2);
  {
    Given g("NCCL_P2P_LEVEL", "PXB");
    EXPECT_EQ(settingsFromParams()->p2pLevel, PathType::Pxb);
  }
  {
    Given g("NCCL_P2P_DISABLE", "1");
    EXPECT_EQ(settingsFromParams()->p2pLevel, PathType::Loc);
  }
  {
    Given g("NCCL_NET_GDR_LEVEL", "SYS");
    EXPECT_EQ(settingsFromParams()->gdrLevel, PathType::Sys);
  }
  {
    Given g("NCCL_CROSS_NIC", "0");
    EXPECT_EQ(settingsFromParams()->crossNic, 0);
  }
  {
    Given g("NCCL_MIN_NCHANNELS", "6");
    EXPECT_EQ(settingsFromParams()->minChannels, 6);
  }
  {
    Given g("NCCL_MAX_NCHANNELS", "5");
    EXPECT_EQ(settingsFromParams()->maxChannels, 5);
  }
  {
    Given g("NCCL_NCHANNELS_PER_NET_PEER", "3");
    EXPECT_EQ(settingsFromParams()->channelsPerNetPeer, 3);
  }
  {
    Given g("NCCL_IGNORE_CPU_AFFINITY", "1");
    EXPECT_TRUE(settingsFromParams()->ignoreCpuAffinity);
  }
  {
    Given g("NCCL_P2P_LEVEL", "near");
    auto s = settingsFromParams();
    ASSERT_FALSE(s.ok());
    EXPECT_NE(s.error().message().find("NCCL_P2P_LEVEL"), std::string::npos);
  }
}

TEST(Settings, MinChannelsRepeatsWhatWasFound) {
  for (const char* name : {"dgx-h100", "azure-ncv4", "rccl-topo_8p_rome_n4-as-nv"}) {
    Topology t = load(name);
    const double before = ringOf(analysed(t.graph, 1, {})).totalGbps();
    for (int least : {2, 8, 32}) {
      Settings s;
      s.minChannels = least;
      const Analysis a = analysed(t.graph, 1, s);
      EXPECT_GE(ringOf(a).channels(), least) << name;
      EXPECT_LE(ringOf(a).channels(), 32) << name;
      EXPECT_GE(ringOf(a).totalGbps(), 0.8 * before) << name << " " << least;
    }
  }
}

TEST(Settings, MaxChannelsHoldsForRingsAndTrees) {
  for (const std::string& name : machineNames()) {
    for (int nodes : {1, 2}) {
      for (int most : {1, 2, 5}) {
        Topology t = load(name);
        Settings s;
        s.maxChannels = most;
        for (const ChannelGraph& g : analysed(t.graph, nodes, s).graphs)
          if (g.pattern == Pattern::Ring || g.pattern == Pattern::Tree)
            EXPECT_LE(g.channels(), most) << name << " " << nodes;
      }
    }
  }
}

TEST(Settings, CrossNicZeroLeavesByTheRailItCameIn) {
  for (const std::string& name : machineNames()) {
    Topology t = load(name);
    Settings zero;
    zero.crossNic = 0;
    Settings one;
    one.crossNic = 1;
    const Analysis same = analysed(t.graph, 2, zero);
    const ChannelGraph straight = ringOf(same);
    for (auto [in, out] : straight.nets) {
      const Node& a = t.graph.nodes[t.graph.nets[in]];
      const Node& b = t.graph.nodes[t.graph.nets[out]];
      EXPECT_TRUE(in == out || (a.rail >= 0 && a.rail == b.rail) || (a.asic == b.asic && a.port == b.port))
          << name;
    }
    EXPECT_EQ(straight.crossNic, 0) << name;
    EXPECT_GE(ringOf(analysed(t.graph, 2, one)).totalGbps(), straight.totalGbps() * (1 - 1e-9)) << name;
  }
}

TEST(Settings, P2pLevelSendsFartherPairsThroughTheCpu) {
  Topology t = load("rccl-topo_8p_rome_n4-as-nv");
  Settings near;
  near.p2pLevel = PathType::Nvl;
  Paths free(t.graph, {});
  Paths limited(t.graph, near);
  int changed = 0;
  for (int a : t.graph.ranks) {
    for (int b : t.graph.ranks) {
      if (a == b) continue;
      if (free.between(a, b).type <= PathType::Nvl)
        EXPECT_EQ(limited.between(a, b).type, free.between(a, b).type);
      else
        EXPECT_GE(limited.between(a, b).type, PathType::Phb);
      changed += limited.between(a, b).links != free.between(a, b).links;
    }
  }
  Settings none;
  none.p2pLevel = PathType::Loc;
  const Analysis all = analysed(t.graph, 1, {});
  EXPECT_LE(ringOf(analysed(t.graph, 1, none)).totalGbps(), ringOf(all).totalGbps());
}

TEST(Settings, GdrLevelDecidesHowFarANicReachesIntoGpus) {
  Topology t = load("dgx-h100");
  Settings none;
  none.gdrLevel = PathType::Loc;
  Settings far;
  far.gdrLevel = PathType::Sys;
  Settings alone;
  alone.pxn = false;
  Paths byMachine(t.graph, alone);
  Paths never(t.graph, none);
  Paths always(t.graph, far);
  int allowedFar = 0;
  for (int gpu : t.graph.ranks) {
    for (int net : t.graph.nets) {
      EXPECT_FALSE(never.gdrAllowed(gpu, net, false));
      EXPECT_TRUE(always.gdrAllowed(gpu, net, false));
      if (byMachine.between(gpu, net).type <= PathType::Pxb)
        EXPECT_TRUE(byMachine.gdrAllowed(gpu, net, false));
      allowedFar += byMachine.gdrAllowed(gpu, net, false);
    }
  }
  EXPECT_LT(allowedFar, 64);
  EXPECT_LE(ringOf(analysed(t.graph, 2, none)).totalGbps(), ringOf(analysed(t.graph, 2, {})).totalGbps());
}

TEST(Settings, ChannelsPerNetPeer) {
  Topology t = load("dgx-h100");
  EXPECT_EQ(analysed(t.graph, 1, {}).p2p.perNetPeer, 0);
  EXPECT_EQ(analysed(t.graph, 2, {}).p2p.perNetPeer, 4);  // as NCCL: 400 Gb/s a GPU
  Settings s;
  s.channelsPerNetPeer = 1;
  EXPECT_EQ(analysed(t.graph, 2, s).p2p.perNetPeer, 1);
  s.channelsPerNetPeer = 64;
  EXPECT_EQ(analysed(t.graph, 2, s).p2p.perNetPeer, analysed(t.graph, 2, s).p2p.all)
      << "no more than there are";
  EXPECT_NE(analysed(t.graph, 2, s).hash, analysed(t.graph, 2, {}).hash)
      << "ranks that differ in it are found out";
}

}  // namespace
}  // namespace tutti::topology
