#include "sim/gpu_cost.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "topology/search.hpp"

namespace tutti::sim {
namespace {

using algos::Collective;
using topology::PathType;

// Rows of tables: LL, LL128, Simple.
using PerProtocol = std::array<double, 3>;

/// Latency of one hop, by what it goes over.
struct HopUs {
  PerProtocol nvlink, pci, net;
};

struct AlgorithmUs {
  PerProtocol base;
  HopUs hop;
};
constexpr AlgorithmUs kTree{{6.8, 14.0, 8.4}, {{0.6, 1.25, 4.0}, {1.0, 1.9, 4.0}, {5.0, 8.5, 14.0}}};
constexpr AlgorithmUs kRing{{6.6, 14.0, 8.4}, {{0.6, 1.9, 3.4}, {1.0, 2.5, 5.7}, {2.7, 4.0, 14.0}}};
constexpr AlgorithmUs kNvls{{0, 0, 0}, {{0, 0, 25}, {0, 0, 0}, {0, 0, 18}}};
constexpr AlgorithmUs kNvlsTree{{0, 0, 0}, {{0, 0, 25}, {0, 0, 0}, {0, 0, 20.9}}};
constexpr AlgorithmUs kPat{{8, 8, 8}, {{0, 0, 4}, {0, 0, 4}, {0, 0, 14}}};

const AlgorithmUs& latenciesOf(GpuAlgorithm a) {
  switch (a) {
    case GpuAlgorithm::Ring:
      return kRing;
    case GpuAlgorithm::Tree:
      return kTree;
    case GpuAlgorithm::Nvls:
      return kNvls;
    case GpuAlgorithm::NvlsTree:
      return kNvlsTree;
    default:
      return kPat;
  }
}

// GB/s, by GPU generation (Volta, Ampere, Hopper, Blackwell) and number of nodes (1, 2, more).
using PerNodes = std::array<double, 3>;
using PerGeneration = std::array<PerNodes, 4>;
/// LL, all channels: by generation on one node; on several, by who made the CPUs (Intel, AMD).
constexpr PerGeneration kLLLimit{
    {{39, 39, 20.4}, {87.7, 22.5, 19.0}, {141, 45, 35}, {2 * 141, 2 * 45, 2 * 35}}};
/// What one channel carries.
constexpr PerGeneration kRingLL128Limit{{{20, 20, 20}, {20, 20, 20}, {36.7, 36.7, 36.7}, {40, 40, 40}}};
constexpr PerGeneration kTreeLL128Limit{
    {{20, 20, 20}, {20, 20, 20}, {36.7, 36.7, 29.0}, {55.6, 31.67, 20.0}}};
constexpr PerGeneration kTreeLimit{
    {{26.5, 18.5, 10.0}, {24.0, 23.6, 17.8}, {38.7, 41.4, 36.0}, {70.0, 42.8, 24.0}}};
constexpr PerGeneration kNvlsTreeLimit{
    {{26.5, 18.5, 10.0}, {24.0, 23.6, 17.8}, {0, 57.7, 45.5}, {0, 96.0, 80.0}}};
constexpr std::array<double, 4> kNvlsEfficiency{0, 0, 0.85, 0.74};

/// How much of its bandwidth a tree AllReduce of 64 B, 128 B, ... 256 MB reaches.
constexpr std::array<std::array<double, 23>, 3> kTreeShare{
    {{1, 1, 1, 1, .9, .8, .7, .7, .7, .7, .6, .5, .4, .4, .5, .6, .7, .8, .9, 1, 1, 1, 1},
     {1, 1, 1, 1, 1, .9, .8, .8, .8, .7, .6, .6, .6, .6, .6, .6, .8, .9, .9, .9, .9, 1, 1},
     {.9, .9, .9, .9, .9, .9, .9, .8, .7, .6, .6, .5, .5, .5, .5, .6, .7, .8, .7, .7, .8, .9, .9}}};

/// The speeds at which channels are cut, by generation: blocks are whole, and all of a pattern are equal.
constexpr double kStepsToAmpere[] = {40, 30, 20, 18, 15, 12, 10, 9, 7, 6, 5, 4, 3};
constexpr double kStepsHopper[] = {60, 50, 40, 30, 24, 20, 15, 12, 11, 6, 3};
constexpr double kStepsBlackwell[] = {90, 80, 70, 60, 50, 45, 40, 30, 24, 20, 19, 18};
constexpr double kStepsBetween[] = {48, 45, 42, 40, 30, 28, 24, 22, 20,  18,  17.5, 15,
                                    12, 10, 9,  7,  6,  5,  4,  3,  2.4, 1.2, 0.24, 0.12};

int generationOf(int sm) {
  return sm >= 100 ? 3 : sm >= 90 ? 2 : sm >= 80 ? 1 : 0;
}
std::span<const double> stepsOf(int sm, int nodes) {
  if (nodes > 1) return kStepsBetween;
  if (sm >= 100) return kStepsBlackwell;
  if (sm >= 90) return kStepsHopper;
  return kStepsToAmpere;
}
/// The highest step that is not above `gbps`; below all of them, `gbps` itself.
double stepBelow(std::span<const double> steps, double gbps) {
  for (double s : steps)
    if (s <= gbps * 1.0001) return s;
  return gbps;
}

const topology::ChannelGraph* find(const std::vector<topology::ChannelGraph>& graphs, topology::Pattern p) {
  for (const auto& g : graphs)
    if (g.pattern == p && g.channels() > 0) return &g;
  return nullptr;
}

/// Total as whole channels: as wide as a path allows, as few as carry the most; then each is cut in two where
/// that makes blocks that still have enough to do.
GpuChannels ringOf(const topology::ChannelGraph& g, const GpuMachine& m, double widest) {
  GpuChannels c;
  const auto steps = stepsOf(m.sm, m.nodes);
  const double total = g.totalGbps();
  double best = 0;
  for (double s : steps) {
    if (s > widest * 1.0001) continue;
    const double carried = std::floor(total / s + 1e-4) * s;
    if (carried > best * 1.0001) {
      best = carried;
      c.intraGbps = s;
      c.channels = static_cast<int>(std::lround(carried / s));
    }
    if (c.channels > 0 && s < 0.5 * c.intraGbps) break;
  }
  if (c.channels == 0) {
    c.channels = g.channels();
    c.intraGbps = total / c.channels;
  }
  if (c.intraGbps >= 25 && !(m.sm > 80 && c.intraGbps < 50 && c.channels > 4) && c.channels <= 16) {
    c.channels *= 2;
    c.intraGbps /= 2;
  }
  c.interGbps = c.intraGbps;
  c.typeIntra = g.typeIntra;
  c.typeInter = g.typeInter;
  c.sameChannels = g.sameChannels;
  return c;
}

GpuChannels treeOf(const topology::ChannelGraph& g, const GpuMachine& m, double rankGbps) {
  GpuChannels c;
  c.channels = m.ring.channels > 0 ? m.ring.channels : g.channels();  // blocks serve rings and trees alike
  const auto each = [&](double perChannel, int nodes) {
    const double gbps = perChannel * g.channels() / c.channels;
    // Half a step is one, too, for the pairs into which channels are cut.
    return std::max(stepBelow(stepsOf(m.sm, nodes), 2 * gbps) / 2, stepBelow(stepsOf(m.sm, nodes), gbps));
  };
  c.interGbps = each(g.interGbps, m.nodes);
  c.intraGbps = std::max(each(g.intraGbps, m.nodes), c.interGbps);
  c.typeIntra = g.typeIntra;
  c.typeInter = g.typeInter;
  c.sameChannels = g.sameChannels;
  // What every rank passes on to two others at full speed, it can only if channels take turns at their ends.
  c.chain = m.sm >= 90 && c.channels * c.intraGbps > rankGbps * 1.0001;
  return c;
}

/// The way to a NIC that lines can be sure of: each rank beside its own, or each NIC beside a rank.
PathType entryOf(const topology::Graph& graph, const topology::Paths& paths) {
  PathType byRank = PathType::Loc, byNic = PathType::Loc;
  for (int r : graph.ranks) {
    PathType nearest = PathType::Dis;
    for (int net : graph.nets) nearest = std::min(nearest, paths.between(r, net).type);
    byRank = std::max(byRank, nearest);
  }
  for (int net : graph.nets) {
    PathType nearest = PathType::Dis;
    for (int r : graph.ranks) nearest = std::min(nearest, paths.between(r, net).type);
    byNic = std::max(byNic, nearest);
  }
  return std::min(byRank, byNic);
}

/// Ring bandwidth over NVLink alone.
double nvlinkGbps(topology::Graph graph, topology::Settings settings) {
  settings.nvb = false;
  constexpr double kHardlyAny = 1e-3;
  for (topology::Link& link : graph.links)
    if (link.type == topology::LinkType::Pci || link.type == topology::LinkType::Sys) link.gbps = kHardlyAny;
  const topology::Paths inside(graph, settings);
  const auto graphs = topology::searchChannels(graph, inside, settings, 1);
  const auto* alone = find(graphs, topology::Pattern::Ring);
  return alone != nullptr && alone->typeIntra <= PathType::Nvl ? alone->totalGbps() : 0;
}

/// The search takes PCIe to NVLink, and far NICs to near ones, where that adds the least bit. The model takes
/// it that channels stay on NVLink where most of it goes over NVLink alone, and leave the machine beside the
/// NICs.
void stayOnNvlink(GpuMachine& m, const topology::Graph& graph, const topology::Paths& paths,
                  const topology::Settings& settings) {
  const double alone = m.ring.typeIntra > PathType::Nvl || m.tree.typeIntra > PathType::Nvl
                           ? nvlinkGbps(graph, settings)
                           : std::numeric_limits<double>::max();
  for (GpuChannels* c : {&m.ring, &m.tree}) {
    if (alone < 0.75 * c->channels * c->intraGbps) continue;
    c->typeIntra = std::min(c->typeIntra, PathType::Nvl);
    c->typeInter = std::min(c->typeInter, entryOf(graph, paths));
  }
}

double hopUs(GpuAlgorithm a, const GpuChannels& c, int p) {
  const HopUs& hop = latenciesOf(a).hop;
  return c.typeIntra <= PathType::Nvl ? hop.nvlink[p] : hop.pci[p];
}

int stepsOfRing(Collective c, int n) {
  return c == Collective::AllReduce                                     ? 2 * (n - 1)
         : c == Collective::AllGather || c == Collective::ReduceScatter ? n - 1
                                                                        : n;
}

/// Lines with a flag in their last bytes must arrive whole: over NVLink, and over what keeps a store
/// together.
bool keepsLinesWhole(const GpuChannels& c, const GpuMachine& m) {
  if (m.sm < 70 || (m.sm != m.newestSm && m.sm < 90) || c.typeIntra > PathType::Nvb) return false;
  return m.nodes == 1 || c.typeInter <= (m.sm >= 90 ? PathType::Pxn : PathType::Pxb);
}

class Pricer {
 public:
  Pricer(const GpuMachine& m, Collective c)
      : m_(m),
        collective_(c),
        generation_(generationOf(m.sm)),
        column_(std::min(m.nodes, 3) - 1),
        perNode_(static_cast<double>(m.ranks) / m.nodes),
        llLimit_(kLLLimit[m.nodes == 1 ? generation_
                          : m.amdHost  ? 1
                                       : 0][column_]) {}

  GpuPrice price(GpuAlgorithm a, GpuProtocol protocol) const {
    const GpuChannels& c = a == GpuAlgorithm::Ring                             ? m_.ring
                           : a == GpuAlgorithm::Tree || a == GpuAlgorithm::Pat ? m_.tree
                                                                               : m_.nvls;
    GpuPrice result{a, protocol, 0, 0};
    const int p = static_cast<int>(protocol);
    if (c.channels == 0 || (protocol == GpuProtocol::LL128 && !keepsLinesWhole(c, m_))) return result;
    result.gbps = busGbps(a, protocol, c) * algorithmShare(a);
    double interUs = perNode_ == 1 ? kTree.hop.net[p] : latenciesOf(a).hop.net[p];
    interUs += m_.netLatencyUs * (protocol == GpuProtocol::Simple ? 2 : 1);
    result.latencyUs = latenciesOf(a).base[p] + pathUs(a, protocol, c, hopUs(a, c, p), interUs);
    return result;
  }

 private:
  double busGbps(GpuAlgorithm a, GpuProtocol protocol, const GpuChannels& c) const {
    if (a == GpuAlgorithm::Nvls || a == GpuAlgorithm::NvlsTree) return nvlsGbps(a, c);
    double bus = c.channels * (m_.nodes <= 2 ? c.intraGbps : c.interGbps);
    if (a == GpuAlgorithm::Pat) return 0.75 * bus;
    if (a == GpuAlgorithm::Ring) {
      if (protocol == GpuProtocol::LL) return std::min(llLimit_, 0.5 * bus);
      if (protocol == GpuProtocol::LL128)
        return std::min(0.92 * bus, c.channels * kRingLL128Limit[generation_][column_]);
      return bus;
    }
    bus = std::min(0.92 * bus, c.channels * kTreeLimit[generation_][column_]);
    if (protocol == GpuProtocol::LL) bus = std::min(bus / 3.8, llLimit_);
    if (protocol == GpuProtocol::LL128) {
      bus = std::min(bus * (m_.nodes == 1 ? 7.0 / 9 : 120.0 / 128),
                     c.channels * kTreeLL128Limit[generation_][column_]);
    }
    return c.chain ? 0.85 * bus : bus;
  }

  /// The switch adds up and copies; an AllReduce does both at once.
  double nvlsGbps(GpuAlgorithm a, const GpuChannels& c) const {
    if (c.channels < 2 || (a == GpuAlgorithm::Nvls) != (m_.nodes == 1)) return 0;
    double intra = c.intraGbps * kNvlsEfficiency[generation_] * (c.channels - 1) / c.channels;
    intra *= collective_ == Collective::AllReduce ? 2 : (perNode_ - 1) / perNode_;
    double gbps = std::min(intra, c.interGbps * (m_.nodes == 2 ? 2 : 1));
    if (a == GpuAlgorithm::NvlsTree) gbps = std::min(gbps, kNvlsTreeLimit[generation_][column_]);
    return gbps * c.channels;
  }

  double algorithmShare(GpuAlgorithm a) const {
    const bool blocks = collective_ == Collective::AllGather || collective_ == Collective::ReduceScatter;
    if (a != GpuAlgorithm::Ring && blocks) return 1;
    if (a == GpuAlgorithm::Tree) return 0.5;
    return static_cast<double>(m_.ranks) / stepsOfRing(collective_, m_.ranks);
  }

  double pathUs(GpuAlgorithm a, GpuProtocol protocol, const GpuChannels& c, double intraUs,
                double interUs) const {
    const int inside = m_.ranks / m_.nodes - 1;
    const int levels = static_cast<int>(std::bit_width(static_cast<unsigned>(m_.nodes))) - 1;
    switch (a) {
      case GpuAlgorithm::Ring:
        return ringUs(protocol, c, intraUs, interUs);
      case GpuAlgorithm::Tree:
        return 2 * (inside * intraUs + levels * interUs);
      case GpuAlgorithm::Nvls:
        return intraUs + (m_.nodes > 1 ? interUs : 0);
      case GpuAlgorithm::NvlsTree:
        return intraUs + 2 * levels * interUs;
      default:  // a part that grows with the ranks is left
        return levels * interUs / 3.5 + m_.ranks * 2.8;
    }
  }

  double ringUs(GpuProtocol protocol, const GpuChannels& c, double intraUs, double interUs) const {
    const int p = static_cast<int>(protocol);
    const int steps = stepsOfRing(collective_, m_.ranks);
    if (collective_ == Collective::Broadcast || collective_ == Collective::Reduce) {
      const auto slowest = [&](const AlgorithmUs& us) {
        return m_.nodes > 1 ? us.hop.net[p] : c.typeIntra <= PathType::Nvl ? us.hop.nvlink[p] : us.hop.pci[p];
      };
      if (c.sameChannels) return slowest(kRing);
      return steps * slowest(protocol == GpuProtocol::Simple ? kTree : kRing);
    }
    const int inter = m_.nodes == 1                          ? 0
                      : collective_ == Collective::AllReduce ? 2 * (m_.nodes - 1)
                                                             : m_.nodes - 1;
    // Between nodes, every step costs the CPU that drives the NIC.
    const double postUs =
        m_.nodes == 1 ? 0 : (m_.amdHost ? 2.0 : 1.0) * (protocol == GpuProtocol::Simple ? 3 : 1);
    return (steps - inter) * std::max(intraUs, postUs) + inter * interUs;
  }

  const GpuMachine& m_;
  Collective collective_;
  int generation_;
  int column_;
  double perNode_;
  double llLimit_;
};

}  // namespace

std::string_view nameOf(GpuAlgorithm algorithm) {
  constexpr std::string_view kNames[] = {"ring", "tree", "nvls", "nvlstree", "pat"};
  return kNames[static_cast<int>(algorithm)];
}
std::string_view nameOf(GpuProtocol protocol) {
  constexpr std::string_view kNames[] = {"ll", "ll128", "simple"};
  return kNames[static_cast<int>(protocol)];
}
std::string GpuPrice::name() const {
  return std::string(nameOf(algorithm)) + "/" + std::string(nameOf(protocol));
}

GpuMachine GpuMachine::of(topology::Graph graph, const topology::Settings& settings, int nodes,
                          double nicGbps) {
  GpuMachine m;
  m.nodes = nodes;
  m.ranks = static_cast<int>(graph.ranks.size()) * nodes;
  m.sm = std::numeric_limits<int>::max();
  double widest = 0, rankGbps = 0;
  for (int r : graph.ranks) {
    const topology::Node& gpu = graph.nodes[r];
    m.sm = std::min(m.sm, gpu.sm);
    m.newestSm = std::max(m.newestSm, gpu.sm);
    double out = 0;
    for (int l : gpu.out) {
      widest = std::max(widest, graph.links[l].gbps);
      if (graph.links[l].type == topology::LinkType::Nvl) out += graph.links[l].gbps;
    }
    rankGbps = std::max(rankGbps, out);
  }
  for (int c : graph.cpus) {
    m.amdHost = m.amdHost || graph.nodes[c].vendor == topology::CpuVendor::Amd;
  }
  double nic = 0;
  for (int n : graph.nets) {
    topology::Node& net = graph.nodes[n];
    if (nicGbps > 0) net.netGbps = nicGbps;
    nic = std::max(nic, net.netGbps);
    if (nodes > 1) m.netLatencyUs = std::max(m.netLatencyUs, net.latencyUs);
  }
  for (topology::Link& link : graph.links)
    if (link.type == topology::LinkType::Net && nicGbps > 0) link.gbps = nicGbps;
  if (nodes > 1 && nic > 0) widest = std::min(widest, nic);

  const topology::Paths paths(graph, settings);
  const auto graphs = topology::searchChannels(graph, paths, settings, nodes);
  if (const auto* ring = find(graphs, topology::Pattern::Ring)) m.ring = ringOf(*ring, m, widest);
  if (const auto* tree = find(graphs, topology::Pattern::Tree)) m.tree = treeOf(*tree, m, rankGbps);
  if (const auto* nvls = find(graphs, topology::Pattern::Nvls)) {
    m.nvls.channels = nvls->channels();
    m.nvls.intraGbps = stepBelow(stepsOf(m.sm, 1), nvls->intraGbps);
    m.nvls.interGbps = nodes > 1 ? stepBelow(stepsOf(m.sm, 2), nvls->interGbps) : stepsOf(m.sm, 1).front();
    if (nodes > 1) m.nvls.intraGbps = std::min(m.nvls.intraGbps, m.nvls.interGbps);
    m.nvls.typeIntra = nvls->typeIntra;
    m.nvls.typeInter = nvls->typeInter;
  }
  if (rankGbps > 0) stayOnNvlink(m, graph, paths, settings);
  return m;
}

double timeUs(const GpuPrice& price, const GpuMachine& machine, Collective collective, double bytes) {
  double gbps = price.gbps, latency = price.latencyUs;
  const auto blocks = static_cast<uint64_t>(bytes) >> 6;
  const int size = std::bit_width(blocks) - 1;
  const auto& share = kTreeShare[static_cast<int>(price.protocol)];
  const bool reduce = collective == Collective::AllReduce;
  const bool inTable = reduce && size >= 0 && size < static_cast<int>(share.size());
  if (inTable && price.algorithm == GpuAlgorithm::Tree) gbps *= share[size];
  if (reduce && price.algorithm == GpuAlgorithm::Ring && price.protocol == GpuProtocol::Simple &&
      machine.nodes > 1 && bytes / (machine.ring.channels * static_cast<double>(machine.ranks)) >= 64) {
    latency *= machine.sm < 80 ? 1.9 : 1.4;  // the plateau of middle sizes
  }
  return latency + bytes / (1000 * gbps);
}

std::vector<GpuPrice> gpuPrices(const GpuMachine& machine, Collective collective) {
  std::vector<GpuPrice> prices;
  const Pricer pricer(machine, collective);
  auto add = [&](GpuAlgorithm a, GpuProtocol p) {
    const GpuPrice price = pricer.price(a, p);
    if (price.gbps > 0) prices.push_back(price);
  };
  constexpr GpuProtocol kAll[] = {GpuProtocol::LL, GpuProtocol::LL128, GpuProtocol::Simple};
  const bool blocks = collective == Collective::AllGather || collective == Collective::ReduceScatter;
  const bool reduce = collective == Collective::AllReduce;
  if (machine.ranks < 2) return prices;
  if (!reduce && !blocks && collective != Collective::Broadcast && collective != Collective::Reduce)
    return prices;
  for (GpuProtocol p : kAll) add(GpuAlgorithm::Ring, p);
  if (reduce) {
    for (GpuProtocol p : kAll) add(GpuAlgorithm::Tree, p);
    add(GpuAlgorithm::NvlsTree, GpuProtocol::Simple);
  }
  if (reduce || (blocks && machine.nodes == 1)) add(GpuAlgorithm::Nvls, GpuProtocol::Simple);
  if (blocks && machine.nodes == machine.ranks && machine.sm >= 60)
    add(GpuAlgorithm::Pat, GpuProtocol::Simple);
  return prices;
}

}  // namespace tutti::sim
