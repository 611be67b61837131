#include "sim/scenario.hpp"

#include <algorithm>
#include <cmath>

#include "core/bytes.hpp"

namespace tutti::sim {
namespace {

using algos::Algorithm;
using algos::Collective;

constexpr int kMostBoardRanks = 64;
constexpr size_t kPieceBytes = size_t{64}
                               << 20;  ///< a two-level scheme cuts its data into pieces near this size
constexpr int kMostPieces = 8;
constexpr size_t kInsideSlotBytes = size_t{4}
                                    << 20;  ///< coarser messages than this are coarser between machines only

/// Ranks in the order of a ring that changes machines on a rail of its own for each channel: every second
/// machine runs backwards. By machine, so that trees stay inside them.
std::shared_ptr<const algos::RankOrder> channelOrder(int nRanks, int perMachine, int channel, bool snake) {
  std::vector<int> rankAt(static_cast<size_t>(nRanks)), groupAt(static_cast<size_t>(nRanks));
  const bool turned = snake && nRanks / perMachine % 2 == 0;
  for (int p = 0; p < nRanks; ++p) {
    const int machine = p / perMachine;
    int local = p % perMachine;
    if (turned && machine % 2 == 1) local = perMachine - 1 - local;
    rankAt[p] = machine * perMachine + (local + channel) % perMachine;
    groupAt[p] = machine;
  }
  return std::make_shared<algos::RankOrder>(algos::RankOrder::of(std::move(rankAt), std::move(groupAt)));
}

algos::Limits limitsOf(const Scenario& s, const Network& network, size_t slotBytes) {
  algos::Limits limits;
  limits.slotBytes = slotBytes;
  limits.depth = s.depth;
  const ClusterNetwork* cluster = clusterOf(network);
  limits.boards =
      (cluster != nullptr ? cluster->machines() == 1 : s.sharedMemory) && network.nRanks() <= kMostBoardRanks;
  limits.boardBytes = std::max(limits.boardBytes, slotBytes);
  if (cluster != nullptr) limits.ranksPerHost = cluster->ranksPerMachine();
  return limits;
}

Item callItem(std::string name, const algos::Request& request, Groups groups, const Scheme& scheme,
              const algos::Limits& limits) {
  Item item;
  item.name = std::move(name);
  item.request = request;
  item.request.nRanks = groups.members();
  item.groups = std::move(groups);
  item.algorithm = scheme.algorithm;
  item.protocol = scheme.protocol;
  item.limits = limits;
  return item;
}

/// Piece by piece, each through three calls; a call waits for its piece, and for the same call of the piece
/// before.
Workload twoLevel(const algos::Request& request, const Scheme& scheme, const algos::Limits& limits,
                  int perMachine) {
  Workload w;
  w.nRanks = request.nRanks;
  const auto pieces = static_cast<size_t>(piecesOf(request));
  algos::Limits near = limits;
  near.slotBytes = std::max(near.slotBytes, kInsideSlotBytes);
  const size_t share = (request.count + pieces * static_cast<size_t>(perMachine) - 1) /
                       (pieces * static_cast<size_t>(perMachine));
  Scheme inside = scheme;
  inside.algorithm = Algorithm::Ring;
  for (int piece = 0; piece < static_cast<int>(pieces) && share > 0; ++piece) {
    algos::Request r = request;
    r.count = share;
    r.collective = Collective::ReduceScatter;
    const int first = 3 * piece;
    w.items.push_back(
        callItem(fmt::format("ReduceScatter {}", piece), r, Groups::all(perMachine), inside, near));
    r.collective = Collective::AllReduce;
    Groups rails;
    rails.size = request.nRanks / perMachine;
    rails.stride = perMachine;
    w.items.push_back(callItem(fmt::format("AllReduce {}", piece), r, rails, scheme, limits));
    r.collective = Collective::AllGather;
    w.items.push_back(callItem(fmt::format("AllGather {}", piece), r, Groups::all(perMachine), inside, near));
    for (int i = 0; i < 3; ++i) {
      if (i > 0) w.items[first + i].after.push_back(first + i - 1);
      if (piece > 0) w.items[first + i].after.push_back(first + i - 3);
    }
  }
  return w;
}

}  // namespace

const ClusterNetwork* clusterOf(const Network& network) {
  return dynamic_cast<const ClusterNetwork*>(&network);
}

Result<Scheme> schemeFromName(std::string_view name) {
  Scheme scheme;
  scheme.name = std::string(name);
  if (const size_t slash = name.find('/'); slash != std::string_view::npos) {
    const auto protocol = algos::protocolFromName(name.substr(slash + 1));
    if (!protocol)
      return makeError(Code::InvalidArgument, "\"{}\" is no protocol (simple, ll)", name.substr(slash + 1));
    scheme.protocol = *protocol;
    name = name.substr(0, slash);
  }
  scheme.twoLevel = name.substr(0, 6) == "2level";
  if (name == "2level") name = "2level-tree";
  const auto algorithm =
      algos::algorithmFromName(scheme.twoLevel ? name.substr(std::min<size_t>(7, name.size())) : name);
  if (!algorithm) {
    std::string known;
    for (const algos::Builder& b : algos::builtinAlgorithms())
      known += std::string(algos::nameOf(b.algorithm)) + ", ";
    return makeError(Code::InvalidArgument,
                     "\"{}\" is no algorithm: there are {}2level (or 2level-ring, ...)", name, known);
  }
  scheme.algorithm = *algorithm;
  return scheme;
}

Result<std::unique_ptr<Network>> makeNetwork(const Scenario& s) {
  std::unique_ptr<Network> network;
  if (s.cluster) {
    TUTTI_ASSIGN(network, ClusterNetwork::make(*s.cluster, s.settings, s.machines));
  } else {
    if (s.request.nRanks < 2)
      return makeError(Code::InvalidArgument, "{} ranks are less than 2", s.request.nRanks);
    if (!(s.ideal.gbps >= 0) || !(s.ideal.latencyUs >= 0) || !(s.ideal.gapUs >= 0))
      return makeError(Code::InvalidArgument, "links have bandwidths and latencies of 0 or more");
    network = std::make_unique<IdealNetwork>(s.request.nRanks, s.ideal);
  }
  network->adaptive = s.adaptive;
  for (const std::string& name : s.deadLinks) {
    TUTTI_ASSIGN(std::vector<uint32_t> links, network->find(name));
    for (uint32_t l : links) network->links()[l].dead = true;
  }
  for (const auto& [name, factor] : s.slowLinks) {
    if (!(factor > 0)) return makeError(Code::InvalidArgument, "a link is not {} times slower", factor);
    TUTTI_ASSIGN(std::vector<uint32_t> links, network->find(name));
    for (uint32_t l : links) network->links()[l].psPerByte *= factor;
  }
  return network;
}

Result<Workload> workloadFor(const Scenario& s, const Scheme& scheme, const Network& network,
                             size_t slotBytes) {
  const ClusterNetwork* cluster = clusterOf(network);
  const int perMachine = cluster != nullptr ? cluster->ranksPerMachine() : 0;
  const bool many = cluster != nullptr && cluster->machines() > 1;
  algos::Request request = s.request;
  request.nRanks = network.nRanks();
  const algos::Limits limits = limitsOf(s, network, slotBytes);
  if (scheme.twoLevel) {
    if (request.collective != Collective::AllReduce)
      return makeError(Code::InvalidUsage, "{} does AllReduce only", scheme.name);
    if (!many || perMachine < 2)
      return makeError(Code::InvalidUsage,
                       "{} needs several machines with the same number of ranks, 2 or more", scheme.name);
    return twoLevel(request, scheme, limits, perMachine);
  }
  const bool ring = scheme.algorithm == Algorithm::Ring;
  const bool ordered =
      many && perMachine > 1 &&
      (ring || (scheme.algorithm == Algorithm::Tree && request.collective == Collective::AllReduce));
  const int channels = !ordered         ? 1
                       : s.channels > 0 ? s.channels
                                        : std::min(cluster->nicsPerMachine(), perMachine);
  Workload w;
  w.nRanks = request.nRanks;
  const size_t share = (request.count + static_cast<size_t>(channels) - 1) / static_cast<size_t>(channels);
  for (int c = 0; c < channels; ++c) {
    algos::Request r = request;
    r.count = share;
    Item item = callItem(std::string(algos::nameOf(request.collective)), r, Groups::all(request.nRanks),
                         scheme, limits);
    if (channels > 1) item.name += fmt::format(" {}", c);
    if (ordered) item.limits.order = channelOrder(request.nRanks, perMachine, c, ring);
    w.items.push_back(std::move(item));
  }
  return w;
}

std::vector<Scheme> schemesFor(const Scenario& s, const Network& network) {
  std::vector<Scheme> found;
  algos::Request request = s.request;
  request.nRanks = network.nRanks();
  const algos::Limits limits = limitsOf(s, network, s.slotBytes > 0 ? s.slotBytes : 512u << 10);
  for (const algos::Builder& builder : algos::builtinAlgorithms()) {
    for (algos::Protocol protocol : {algos::Protocol::Simple, algos::Protocol::LL}) {
      // Lines do not travel over a network as such.
      const ClusterNetwork* cluster = clusterOf(network);
      if (protocol == algos::Protocol::LL &&
          !(cluster != nullptr ? cluster->machines() == 1 : s.sharedMemory))
        continue;
      if (!builder.supports(request, protocol, limits)) continue;
      Scheme scheme;
      scheme.algorithm = builder.algorithm;
      scheme.protocol = protocol;
      scheme.name = fmt::format("{}/{}", algos::nameOf(builder.algorithm), algos::nameOf(protocol));
      found.push_back(std::move(scheme));
    }
  }
  const ClusterNetwork* cluster = clusterOf(network);
  if (request.collective == Collective::AllReduce && cluster != nullptr && cluster->machines() > 1 &&
      cluster->ranksPerMachine() > 1) {
    for (const char* name : {"2level-tree", "2level-ring"}) {
      Scheme scheme = *schemeFromName(name);
      found.push_back(std::move(scheme));
    }
  }
  return found;
}

int piecesOf(const algos::Request& request) {
  return static_cast<int>(std::clamp<size_t>(request.bytes() / kPieceBytes, 1, kMostPieces));
}

void setSize(algos::Request& request, size_t bytes) {
  size_t count = bytes / request.elementBytes();
  switch (request.collective) {
    case Collective::AllReduce:
    case Collective::Broadcast:
    case Collective::Reduce:
      break;
    default:
      count /= static_cast<size_t>(request.nRanks);
      break;
  }
  request.count = std::max<size_t>(1, count);
}

double algorithmBytes(const algos::Request& r) {
  const auto bytes = static_cast<double>(r.bytes());
  switch (r.collective) {
    case Collective::AllReduce:
    case Collective::Broadcast:
    case Collective::Reduce:
      return bytes;
    default:
      return bytes * r.nRanks;
  }
}

double busFactor(const algos::Request& r) {
  const double n = r.nRanks;
  switch (r.collective) {
    case Collective::AllReduce:
      return 2 * (n - 1) / n;
    case Collective::Broadcast:
    case Collective::Reduce:
      return 1;
    default:
      return (n - 1) / n;
  }
}

}  // namespace tutti::sim
