#include "sim/cluster_network.hpp"

#include <algorithm>
#include <map>

#include "sim/flat_map.hpp"

namespace tutti::sim {
namespace {

/// Microseconds across a link. Round figures between published ones; docs/simulator.md says where from.
double latencyUs(topology::LinkType type) {
  using topology::LinkType;
  switch (type) {
    case LinkType::Nvl:
      return 0.3;
    case LinkType::C2c:
    case LinkType::Pci:
      return 0.2;
    case LinkType::Sys:
      return 0.15;
    case LinkType::Net:
      return 0.6;
    case LinkType::Mem:
      return 0.02;
    default:
      return 0;
  }
}

}  // namespace

topology::Cluster clusterOf(topology::Graph graph, int machines, topology::FabricFile fabric) {
  topology::Cluster cluster;
  cluster.kinds.push_back(std::move(graph));
  cluster.kindOf.assign(static_cast<size_t>(machines), 0);
  cluster.siteOf.assign(static_cast<size_t>(machines), 0);
  cluster.leafOf.assign(static_cast<size_t>(machines), 0);
  cluster.fabric = std::move(fabric);
  return cluster;
}

/// A rank's NIC: one that it serves, else one of the nearest, in turns.
Status ClusterNetwork::chooseNics(const topology::Graph& graph, const topology::Paths& paths,
                                  const ClusterOptions& options, Kind& kind) {
  for (int n = 0; n < kind.nics; ++n) {
    const topology::Node& net = graph.nodes[graph.nets[n]];
    kind.railOf.push_back(net.rail >= 0 ? net.rail : n);
    kind.nicGbps = options.nicGbps > 0 ? options.nicGbps : std::max(kind.nicGbps, net.netGbps);
  }
  for (int r = 0; r < kind.ranks && kind.nics > 0; ++r) {
    std::vector<int> nearest;
    const topology::Path* best = nullptr;
    for (int n = 0; n < kind.nics; ++n) {
      const topology::Path& path = paths.between(graph.ranks[r], graph.nets[n]);
      if (best == nullptr || path.type < best->type ||
          (path.type == best->type && path.gbps > best->gbps + 1e-9)) {
        best = &path;
        nearest.clear();
      }
      if (path.type == best->type && path.gbps >= best->gbps - 1e-9) nearest.push_back(n);
    }
    int choice = nearest[static_cast<size_t>(r) % nearest.size()];
    for (int n : nearest)
      if (paths.localGpuOfNet()[n] == r) choice = n;
    if (best->type == topology::PathType::Dis)
      return makeError(Code::InvalidArgument, "rank {} of the machine cannot reach a NIC", r);
    kind.nicOf.push_back(choice);
  }
  return {};
}

Result<ClusterNetwork::Kind> ClusterNetwork::makeKind(const topology::Graph& graph,
                                                      const topology::Settings& settings,
                                                      const ClusterOptions& options, bool alone) {
  if (graph.ranks.empty())
    return makeError(Code::InvalidArgument, "the machine has nothing to put a rank on");
  if (graph.nets.empty() && !alone)
    return makeError(Code::InvalidArgument,
                     "the machine's description names no NIC: it cannot be one of several");
  const topology::Paths paths(graph, settings);
  Kind kind;
  kind.ranks = static_cast<int>(graph.ranks.size());
  kind.nics = static_cast<int>(graph.nets.size());
  TUTTI_TRY(chooseNics(graph, paths, options, kind));
  // Which paths use a link: links with equal uses are in a row.
  std::vector<uint64_t> uses(graph.links.size());
  std::vector<std::vector<int>> found;
  auto note = [&](const topology::Path& path) {
    for (int l : path.links) uses[l] += mixed(found.size() + 1);
    found.push_back(path.links);
  };
  bool reachable = true;
  for (int a : graph.ranks) {
    for (int b : graph.ranks) {
      if (a != b && paths.between(a, b).type == topology::PathType::Dis) reachable = false;
      note(a == b ? topology::Path{} : paths.between(a, b));
    }
  }
  if (!reachable)
    return makeError(Code::InvalidArgument, "some of the machine's ranks cannot reach each other");
  for (int r = 0; r < kind.ranks && kind.nics > 0; ++r) {
    const int nic = graph.nets[kind.nicOf[r]];
    note(paths.between(graph.ranks[r], nic));
    note(paths.between(nic, graph.ranks[r]));
  }
  std::map<uint64_t, uint32_t> resourceOf;
  std::vector<bool> counted(graph.links.size());
  std::vector<Route> routes;
  for (const auto& links : found) {
    Route route;
    for (int l : links) {
      const topology::Link& link = graph.links[l];
      const double gbps =
          link.type == topology::LinkType::Net && options.nicGbps > 0 ? options.nicGbps : link.gbps;
      const auto [at, fresh] = resourceOf.try_emplace(uses[l], static_cast<uint32_t>(kind.links.size()));
      if (fresh) kind.links.push_back({graph.linkName(l), gbps, 0});
      Inner& inner = kind.links[at->second];
      if (!counted[l]) {
        counted[l] = true;
        inner.latencyUs += latencyUs(link.type);
        if (gbps < inner.gbps) {
          inner.gbps = gbps;
          inner.name = graph.linkName(l);
        }
      }
      if (std::find(route.begin(), route.end(), at->second) == route.end()) route.push_back(at->second);
    }
    routes.push_back(std::move(route));
  }
  const size_t pairs = static_cast<size_t>(kind.ranks) * static_cast<size_t>(kind.ranks);
  kind.between.assign(routes.begin(), routes.begin() + static_cast<ptrdiff_t>(pairs));
  for (size_t i = pairs; i < routes.size(); i += 2) {
    kind.out.push_back(routes[i]);
    kind.in.push_back(routes[i + 1]);
  }
  return kind;
}

Result<std::unique_ptr<ClusterNetwork>> ClusterNetwork::make(const topology::Cluster& cluster,
                                                             const topology::Settings& settings,
                                                             const ClusterOptions& options) {
  std::unique_ptr<ClusterNetwork> net(new ClusterNetwork());
  const int machines = cluster.hosts();
  if (machines < 1) return makeError(Code::InvalidArgument, "a cluster has at least one machine");
  FabricShape shape;
  for (const topology::Graph& graph : cluster.kinds) {
    TUTTI_ASSIGN(Kind kind, makeKind(graph, settings, options, machines == 1));
    shape.nics = std::max(net->kinds_.empty() ? 1 : shape.nics, std::max(1, kind.nics));
    if (kind.nicGbps > 0 && (net->portGbps_ == 0 || kind.nicGbps > net->portGbps_))
      net->portGbps_ = kind.nicGbps;
    net->hostRanks_ = graph.hostRanks;
    net->equal_ = net->equal_ && (net->kinds_.empty() || net->kinds_[0].ranks == kind.ranks);
    net->kinds_.push_back(std::move(kind));
  }
  net->kindOf_ = cluster.kindOf;
  net->siteOf_ = cluster.siteOf;
  net->railOnly_ = cluster.fabric.railOnly;
  net->firstRank_.push_back(0);
  for (int m = 0; m < machines; ++m) {
    const Kind& kind = net->kinds_[net->kindOf_[m]];
    net->firstRank_.push_back(net->firstRank_.back() + kind.ranks);
    net->firstLink_.push_back(static_cast<uint32_t>(net->links_.size()));
    for (const Inner& inner : kind.links) net->addLink(inner.gbps, inner.latencyUs);
  }
  const bool alike = cluster.kinds.size() == 1 && findFold(net->kinds_[0]);
  if (machines == 1) return net;

  shape.kind = options.fabric;
  shape.machines = machines;
  shape.portGbps = net->portGbps_ > 0 ? net->portGbps_ : 1.25;
  shape.hopUs = options.hopUs;
  shape.radix = options.radix;
  shape.railOnly = cluster.fabric.railOnly;
  shape.torus = options.torus;
  shape.oversubscription =
      options.oversubscription > 0 ? options.oversubscription : cluster.fabric.oversubscription;
  if (!cluster.fabric.places.empty()) shape.leafOf = cluster.leafOf;
  net->fabricLinks_ = static_cast<uint32_t>(net->links_.size());
  ClusterNetwork* self = net.get();
  TUTTI_ASSIGN(net->fabric_,
               makeFabric(shape, [self](double gbps, double us) { return self->addLink(gbps, us); }));
  const int sites = *std::max_element(net->siteOf_.begin(), net->siteOf_.end()) + 1;
  if (sites > 1) {
    net->siteLinks_ = static_cast<uint32_t>(net->links_.size());
    for (int s = 0; s < sites; ++s) {
      const auto here = static_cast<double>(std::count(net->siteOf_.begin(), net->siteOf_.end(), s));
      const double gbps = here * (cluster.fabric.siteGbps > 0 ? cluster.fabric.siteGbps : net->machineGbps());
      net->addLink(gbps, options.siteUs);
      net->addLink(gbps, 0);
    }
  }
  if (alike && sites == 1 && options.fabric == FabricKind::RailTree) net->folds_ = net->kinds_[0].ranks;
  return net;
}

/// Whether all ranks are alike, and no link serves two of them at one end.
bool ClusterNetwork::findFold(Kind& kind) {
  const int n = kind.ranks;
  std::vector<int> nics = kind.nicOf;
  std::sort(nics.begin(), nics.end());
  if (n < 2 || nics.empty() || std::adjacent_find(nics.begin(), nics.end()) != nics.end()) return false;
  auto between = [&](int a, int b) -> const Route& { return kind.between[static_cast<size_t>(a) * n + b]; };
  auto has = [](const Route& r, uint32_t link) { return std::find(r.begin(), r.end(), link) != r.end(); };
  std::vector<Route> ends;  // out of, into, to the NIC of and from the NIC of each rank
  for (int r = 0; r < n; ++r) {
    const int other = r == 0 ? 1 : 0;
    Route out, in;
    for (uint32_t l : between(r, other)) {
      bool common = true;
      for (int t = 0; t < n; ++t) common = common && (t == r || has(between(r, t), l));
      if (common) out.push_back(l);
    }
    for (uint32_t l : between(other, r)) {
      bool common = n > 2;  // of two ranks, all is the sender's
      for (int f = 0; f < n; ++f) common = common && (f == r || has(between(f, r), l));
      if (common) in.push_back(l);
    }
    ends.insert(ends.end(), {out, in, kind.out[static_cast<size_t>(r)], kind.in[static_cast<size_t>(r)]});
  }
  std::vector<int> users(kind.links.size());
  for (size_t e = 0; e < ends.size(); ++e) {
    if (ends[e].size() != ends[e % 4].size()) return false;
    for (size_t i = 0; i < ends[e].size(); ++i) {
      const Inner &mine = kind.links[ends[e][i]], &first = kind.links[ends[e % 4][i]];
      if (mine.gbps != first.gbps || mine.latencyUs != first.latencyUs || ++users[ends[e][i]] > 1)
        return false;
    }
  }
  for (int f = 0; f < n; ++f) {
    for (int t = 0; t < n; ++t) {
      if (f == t) continue;
      Route whole = ends[4 * static_cast<size_t>(f)];
      const Route& in = ends[4 * static_cast<size_t>(t) + 1];
      whole.insert(whole.end(), in.begin(), in.end());
      if (whole != between(f, t)) return false;
    }
  }
  kind.foldedOut = ends[0];
  kind.foldedIn = ends[1];
  return true;
}

void ClusterNetwork::fold(int from, int to, Route& route) const {
  const int machine = machineOf(from);
  if (machine != machineOf(to)) return;
  const Kind& kind = kinds_[static_cast<size_t>(kindOf_[static_cast<size_t>(machine)])];
  route.clear();
  addInner(machine, kind.foldedOut, route);
  addInner(machine, kind.foldedIn, route);
}

int ClusterNetwork::machineOf(int rank) const {
  if (equal_) return rank / firstRank_[1];
  return static_cast<int>(std::upper_bound(firstRank_.begin(), firstRank_.end(), rank) - firstRank_.begin()) -
         1;
}

void ClusterNetwork::addInner(int machine, const Route& inner, Route& out) const {
  for (uint32_t l : inner) out.push_back(firstLink_[machine] + l);
}

/// Where rails are not joined, a message changes to the receiver's rail inside the sender's machine (PXN).
ClusterNetwork::Ends ClusterNetwork::endsOf(int from, int to) const {
  Ends e{};
  e.machineA = machineOf(from);
  e.machineB = machineOf(to);
  e.rankA = from - firstRank_[e.machineA];
  e.rankB = to - firstRank_[e.machineB];
  e.relay = e.rankA;
  if (e.machineA == e.machineB) return e;
  const Kind& a = kinds_[kindOf_[e.machineA]];
  const Kind& b = kinds_[kindOf_[e.machineB]];
  e.nicA = a.nicOf[e.rankA];
  e.nicB = b.nicOf[e.rankB];
  if (railOnly_ && a.railOf[e.nicA] != b.railOf[e.nicB]) {
    for (int r = 0; r < a.ranks; ++r) {
      if (a.railOf[a.nicOf[r]] == b.railOf[e.nicB]) {
        e.relay = r;
        e.nicA = a.nicOf[r];
        break;
      }
    }
  }
  return e;
}

uint64_t ClusterNetwork::ways(int from, int to) const {
  const Ends e = endsOf(from, to);
  return e.machineA == e.machineB ? 1 : fabric_->ways({e.machineA, e.nicA}, {e.machineB, e.nicB});
}

void ClusterNetwork::route(int from, int to, uint64_t way, Route& out) const {
  const Ends e = endsOf(from, to);
  const Kind& a = kinds_[kindOf_[e.machineA]];
  if (e.machineA == e.machineB) {
    addInner(e.machineA, a.between[static_cast<size_t>(e.rankA) * a.ranks + e.rankB], out);
    return;
  }
  const Kind& b = kinds_[kindOf_[e.machineB]];
  if (e.relay != e.rankA)
    addInner(e.machineA, a.between[static_cast<size_t>(e.rankA) * a.ranks + e.relay], out);
  addInner(e.machineA, a.out[static_cast<size_t>(e.relay)], out);
  fabric_->route({e.machineA, e.nicA}, {e.machineB, e.nicB}, way, out);
  if (siteLinks_ != UINT32_MAX && siteOf_[e.machineA] != siteOf_[e.machineB]) {
    out.push_back(siteLinks_ + 2 * static_cast<uint32_t>(siteOf_[e.machineA]));
    out.push_back(siteLinks_ + 2 * static_cast<uint32_t>(siteOf_[e.machineB]) + 1);
  }
  addInner(e.machineB, b.in[static_cast<size_t>(e.rankB)], out);
}

std::string ClusterNetwork::linkName(uint32_t link) const {
  if (link >= siteLinks_) {
    const uint32_t i = link - siteLinks_;
    return fmt::format("site {} {}", i / 2, i % 2 == 0 ? "out" : "in");
  }
  if (link >= fabricLinks_) return fabric_->linkName(link);
  const auto at = std::upper_bound(firstLink_.begin(), firstLink_.end(), link) - firstLink_.begin() - 1;
  const Kind& kind = kinds_[kindOf_[static_cast<size_t>(at)]];
  return fmt::format("node {}: {}", at, kind.links[link - firstLink_[static_cast<size_t>(at)]].name);
}

std::string ClusterNetwork::describe() const {
  const Kind& k = kinds_[0];
  std::string text =
      fmt::format("{} ranks on {} machine{}", nRanks(), machines(), machines() == 1 ? "" : "s");
  if (equal_) text += fmt::format(" of {} {}", k.ranks, hostRanks_ ? "cores" : "GPUs");
  if (fabric_ == nullptr) return text;
  return text + fmt::format(" and {} NICs of {} GB/s; {}, {} routing", k.nics, portGbps_, fabric_->describe(),
                            adaptive ? "adaptive" : "hashed");
}

std::string ClusterNetwork::assumptions() const {
  return "latencies are round figures, not measured: NVLink .3, PCIe .2, NIC .6 us; switches as given";
}

}  // namespace tutti::sim
