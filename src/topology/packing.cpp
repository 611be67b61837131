#include "topology/packing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "topology/tour.hpp"

namespace tutti::topology {
namespace {
constexpr double kNoWay = 1e12;
constexpr double kSteepness = 10;  // price of a full link over an empty one: e^10
constexpr double kBetter = 1 + 1e-7;
constexpr int kHostsByRank = 9;  // up to so many cores their order is searched for one by one
}  // namespace

HopLoads::HopLoads(const Graph& graph, const Paths& paths, bool withNets)
    : ranks_(static_cast<int>(graph.ranks.size())),
      nets_(withNets ? static_cast<int>(graph.nets.size()) : 0) {
  capacities_.reserve(graph.links.size());
  for (const Link& l : graph.links) capacities_.push_back(l.gbps);
  inAt_ = static_cast<size_t>(ranks_) * ranks_;
  outAt_ = inAt_ + static_cast<size_t>(nets_) * ranks_;
  slots_.resize(outAt_ + static_cast<size_t>(nets_) * ranks_);
  reachable_.resize(slots_.size());
  types_.assign(slots_.size(), PathType::Dis);
  for (int a = 0; a < ranks_; ++a)
    for (int b = 0; b < ranks_; ++b)
      if (a != b) add(static_cast<size_t>(a) * ranks_ + b, paths, graph.ranks[a], graph.ranks[b], -1);
  std::map<std::pair<uint64_t, int>, std::vector<int>> wires;
  for (int n = 0; n < nets_; ++n)
    wires[{graph.nodes[graph.nets[n]].asic, graph.nodes[graph.nets[n]].port}].push_back(n);
  std::vector<int> shared(nets_, -1);
  for (const auto& [key, users] : wires) {
    if (users.size() < 2) continue;
    double gbps =
        graph.nodes[graph.nets[users[0]]].netGbps;  // one wire has one speed: where NICs differ, the lower
    for (int n : users) {
      shared[n] = static_cast<int>(capacities_.size());
      gbps = std::min(gbps, graph.nodes[graph.nets[n]].netGbps);
    }
    capacities_.push_back(gbps);
    capacities_.push_back(gbps);
  }
  for (int n = 0; n < nets_; ++n)
    for (int r = 0; r < ranks_; ++r) {
      add(inAt_ + static_cast<size_t>(n) * ranks_ + r, paths, graph.nets[n], graph.ranks[r], shared[n]);
      add(outAt_ + static_cast<size_t>(n) * ranks_ + r, paths, graph.ranks[r], graph.nets[n],
          shared[n] < 0 ? -1 : shared[n] + 1);
    }
}

void HopLoads::add(size_t slot, const Paths& paths, int from, int to, int sharedWire) {
  const Path& path = paths.between(from, to);
  types_[slot] = path.type;
  if (path.type == PathType::Dis) return;
  size_t first = pool_.size();
  paths.appendLoads(from, to, pool_);
  if (sharedWire >= 0) pool_.push_back({sharedWire, 1.0});
  slots_[slot] = {first, pool_.size()};
  reachable_[slot] = 1;
}

void addChannelLoads(const HopLoads& hops, Pattern pattern, std::span<const int> order,
                     std::pair<int, int> nets, double intraScale, double interScale,
                     std::vector<double>& loads) {
  auto put = [&](std::span<const LinkLoad> hop, double scale) {
    for (const LinkLoad& l : hop) loads[l.link] += l.factor * scale;
  };
  for (size_t i = 0; i + 1 < order.size(); ++i) put(hops.hop(order[i], order[i + 1]), intraScale);
  bool ring = pattern == Pattern::Ring;
  if (nets.first >= 0) {
    put(hops.in(nets.first, order.front()), interScale);
    put(hops.out(ring ? order.back() : order.front(), nets.second), interScale);
  } else if (ring && order.size() > 1) {
    put(hops.hop(order.back(), order.front()), intraScale);
  }
}

namespace {

class Packer {
 public:
  Packer(const Graph& graph, const HopLoads& hops, const PackRequest& request)
      : graph_(graph),
        hops_(hops),
        request_(request),
        loads_(hops.capacities().size(), 0.0),
        prices_(loads_.size()) {
    if (graph.hostRanks && hops.ranks() > kHostsByRank) numaNodes();
    const int n = numaNodes_.empty() ? hops.ranks() : static_cast<int>(numaNodes_.size());
    for (int r = 0; r < n; ++r) stops_.push_back({r});
    tour_.count = n;
    tour_.hop.resize(static_cast<size_t>(n) * n);
    tour_.entry.resize(n);
    tour_.exit.resize(n);
    tour_.closed = request.pattern == Pattern::Ring && !request.inter;
  }

  Packed run() {
    Packed best;
    int most =
        request_.fixedNets.empty() ? request_.maxChannels : static_cast<int>(request_.fixedNets.size());
    most = std::min(most, budget());
    const bool fixed = !request_.fixedNets.empty();
    for (int k = 0; k < most; ++k) {
      if (!append(k)) break;
      if (!fixed || k + 1 == most) keepIfBetter(best);
      if (done(best)) return best;
      // Nothing has come of twice as many channels: this machine is simple.
      if (!fixed && k >= 12 && k > 3 * static_cast<int>(best.orders.size())) break;
    }
    if (request_.pattern != Pattern::Ring && !request_.inter && hops_.ranks() <= request_.maxChannels)
      tryRotations(best);
    trySeed(best);
    if (done(best)) return best;
    size_t widest = current_.orders.size();
    for (size_t channels : {best.orders.size(), widest}) {
      if (channels == 0) break;
      while (current_.orders.size() > channels) remove(current_.orders.size() - 1);
      if (channels == best.orders.size()) restore(best);
      while (current_.orders.size() < channels && append(static_cast<int>(current_.orders.size()))) {
      }
      for (int pass = 0; pass < passes(); ++pass) {
        double before = best.total();
        for (size_t c = 0; c < current_.orders.size(); ++c) {
          replace(c);
          keepIfBetter(best);
          if (done(best)) return best;
        }
        if (best.total() <= before * kBetter && (pass > 0 || tour_.count > 9)) break;
      }
      if (fixed || channels == widest) break;
    }
    return best;
  }

 private:
  // Large machines are switched throughout: a few channels show all there is, and each costs ranks² work.
  int budget() const { return hops_.ranks() > 40 ? 12 : hops_.ranks() > 9 ? 24 : 32; }
  int passes() const { return hops_.ranks() > 40 ? 0 : 4; }
  bool done(const Packed& best) const {
    return request_.enough > 0 && best.total() >= request_.enough * (1 - 1e-9);
  }

  /// Chains that start at each rank in turn leave out each hop once: where all hops are equal nothing is
  /// better.
  void tryRotations(Packed& best) {
    if (best.orders.empty()) return;
    Packed before = current_;
    Packed rotated;
    std::vector<int> order = best.orders[0];
    for (int r = 0; r < hops_.ranks(); ++r) {
      rotated.orders.push_back(order);
      rotated.nets.push_back({-1, -1});
      std::rotate(order.begin(), order.begin() + 1, order.end());
    }
    restore(rotated);
    keepIfBetter(best);
    restore(before);
  }

  void trySeed(Packed& best) {
    if (request_.seed == nullptr || request_.seed->orders.empty() ||
        static_cast<int>(request_.seed->orders.size()) > request_.maxChannels)
      return;
    Packed before = current_;
    restore(*request_.seed);
    keepIfBetter(best);
    restore(before);
  }

  void restore(const Packed& packed) {
    std::fill(loads_.begin(), loads_.end(), 0.0);
    current_ = packed;
    for (size_t c = 0; c < current_.orders.size(); ++c) load(c, 1);
  }

  void load(size_t c, double sign) {
    addChannelLoads(hops_, request_.pattern, current_.orders[c], current_.nets[c], sign, sign, loads_);
  }

  void remove(size_t c) {
    load(c, -1);
    current_.orders.erase(current_.orders.begin() + static_cast<ptrdiff_t>(c));
    current_.nets.erase(current_.nets.begin() + static_cast<ptrdiff_t>(c));
  }

  void replace(size_t c) {
    load(c, -1);
    auto order = current_.orders[c];
    auto nets = current_.nets[c];
    if (!choose(c, current_.orders[c], current_.nets[c])) {
      current_.orders[c] = order;
      current_.nets[c] = nets;
    }
    load(c, 1);
  }

  bool append(int k) {
    std::vector<int> order;
    std::pair<int, int> nets{-1, -1};
    if (!choose(static_cast<size_t>(k), order, nets)) return false;
    current_.orders.push_back(std::move(order));
    current_.nets.push_back(nets);
    load(current_.orders.size() - 1, 1);
    return true;
  }

  void keepIfBetter(Packed& best) {
    double speed = std::numeric_limits<double>::infinity();
    int bottleneck = -1;
    for (size_t l = 0; l < loads_.size(); ++l) {
      if (loads_[l] <= 1e-9) continue;
      double s = hops_.capacities()[l] / loads_[l];
      if (s < speed) {
        speed = s;
        bottleneck = static_cast<int>(l);
      }
    }
    if (bottleneck < 0) speed = 5000;
    current_.perChannel = speed;
    current_.bottleneck = bottleneck;
    if (best.orders.empty() || current_.total() > best.total() * kBetter) best = current_;
  }

  void setPrices() {
    const std::vector<double>& capacity = hops_.capacities();
    double fullest = 0;
    for (size_t l = 0; l < loads_.size(); ++l) fullest = std::max(fullest, loads_[l] / capacity[l]);
    double scale = fullest > 0 ? kSteepness / fullest : 0;
    for (size_t l = 0; l < loads_.size(); ++l)
      prices_[l] = std::exp(scale * std::max(loads_[l], 0.0) / capacity[l]) / capacity[l];
  }

  double price(std::span<const LinkLoad> hop) const {
    if (!hops_.possible(hop)) return kNoWay;
    double sum = 0;
    for (const LinkLoad& l : hop) sum += l.factor * prices_[l.link];
    return sum;
  }

  bool sameRail(int a, int b) const {
    const Node& x = graph_.nodes[graph_.nets[a]];
    const Node& y = graph_.nodes[graph_.nets[b]];
    if (x.rail >= 0 && y.rail >= 0) return x.rail == y.rail;
    return x.asic == y.asic && x.port == y.port;
  }
  bool samePlane(int a, int b) const {
    int x = graph_.nodes[graph_.nets[a]].plane;
    int y = graph_.nodes[graph_.nets[b]].plane;
    return x < 0 || y < 0 || x == y;
  }

  /// Cores hang on their NUMA node as on a tree: an order that visits each node once, and in it each L3 once,
  /// is best for any prices. So only the order of the NUMA nodes is searched for.
  void numaNodes() {
    std::map<int, std::map<int, std::vector<int>>> found;
    for (int r = 0; r < hops_.ranks(); ++r) {
      int cache = -1;
      int at = graph_.ranks[r];
      for (int step = 0; step < 2 && graph_.nodes[at].type != NodeType::Cpu; ++step) {
        for (int l : graph_.nodes[at].out) {
          const NodeType type = graph_.nodes[graph_.links[l].to].type;
          if (type != NodeType::Cpu && (type != NodeType::Cache || step > 0)) continue;
          at = graph_.links[l].to;
          if (type == NodeType::Cache) cache = at;
          break;
        }
      }
      if (graph_.nodes[at].type != NodeType::Cpu) return;
      found[at][cache].push_back(r);
    }
    for (auto& [cpu, caches] : found) {
      numaNodes_.emplace_back();
      for (auto& [cache, ranks] : caches) numaNodes_.back().push_back(std::move(ranks));
    }
  }

  /// What the k-th order visits in one piece: ranks, or NUMA nodes, each begun elsewhere than in the order
  /// before.
  void setStops(size_t k) {
    for (size_t n = 0; n < numaNodes_.size(); ++n) {
      const auto& caches = numaNodes_[n];
      stops_[n].clear();
      for (size_t c = 0; c < caches.size(); ++c) {
        const auto& ranks = caches[(c + k) % caches.size()];
        const size_t turn = k / caches.size();
        for (size_t r = 0; r < ranks.size(); ++r) stops_[n].push_back(ranks[(r + turn) % ranks.size()]);
      }
    }
  }
  std::vector<int> expanded(const std::vector<int>& tour) const {
    std::vector<int> order;
    for (int s : tour) order.insert(order.end(), stops_[s].begin(), stops_[s].end());
    return order;
  }

  bool choose(size_t k, std::vector<int>& order, std::pair<int, int>& nets) {
    const int n = static_cast<int>(stops_.size());
    setPrices();
    setStops(k);
    for (int a = 0; a < n; ++a)
      for (int b = 0; b < n; ++b)
        tour_.hop[static_cast<size_t>(a) * n + b] =
            a == b ? kNoWay : price(hops_.hop(stops_[a].back(), stops_[b].front()));
    hints_.clear();
    if (n > 9 && !current_.orders.empty()) {
      const std::vector<int>& last = numaNodes_.empty() ? current_.orders.back() : lastTour_;
      hints_.push_back(last);
      hints_.push_back(std::vector<int>(last.rbegin(), last.rend()));
    }
    std::vector<int> fileOrder(n);
    for (int i = 0; i < n; ++i) fileOrder[i] = i;
    if (n > 9) hints_.push_back(fileOrder);
    nets = {-1, -1};
    if (!request_.inter) {
      std::fill(tour_.entry.begin(), tour_.entry.end(), 0.0);
      std::fill(tour_.exit.begin(), tour_.exit.end(), 0.0);
      std::vector<int> tour = cheapestOrder(tour_, hints_);
      order = expanded(tour);
      const bool possible = tour_.cost(tour) < kNoWay;
      lastTour_ = std::move(tour);
      return possible;
    }
    return chooseWithNets(k, order, nets);
  }

  /// NICs in and out are part of the choice. With free NICs the cheapest for each end rank is independent of
  /// the order between; where in and out are bound to each other, each binding is tried.
  bool chooseWithNets(size_t k, std::vector<int>& order, std::pair<int, int>& nets) {
    const int n = static_cast<int>(stops_.size());
    const bool chain = request_.pattern != Pattern::Ring;
    std::vector<std::pair<int, int>> bindings;  // in and out, -1 for any
    if (!request_.fixedNets.empty()) {
      bindings.push_back(request_.fixedNets[k % request_.fixedNets.size()]);
    } else if (chain || request_.sameNic) {
      for (int net = 0; net < hops_.nets(); ++net) bindings.push_back({net, chain ? net : -2 - net});
    } else {
      bindings.push_back({-1, -1});
    }
    std::vector<int> inOf(n);
    std::vector<int> outOf(n);
    // For chains only the cheapest binding per first rank matters, so that one tour serves all.
    std::vector<double> entry(n, kNoWay);
    std::vector<double> exit(n, kNoWay);
    double best = kNoWay;
    auto tryTour = [&]() {
      tour_.entry = entry;
      tour_.exit = exit;
      std::vector<int> candidate = cheapestOrder(tour_, hints_);
      double cost = tour_.cost(candidate);
      if (cost >= best) return;
      best = cost;
      nets = {inOf[candidate.front()], outOf[chain ? candidate.front() : candidate.back()]};
      order = expanded(candidate);
      lastTour_ = std::move(candidate);
    };
    if (chain) {
      std::fill(exit.begin(), exit.end(), 0.0);
      for (auto [in, out] : bindings)
        for (int r = 0; r < n; ++r) {
          const int first = stops_[r].front();
          double cost = price(hops_.in(in, first)) + price(hops_.out(first, out));
          if (cost < entry[r]) {
            entry[r] = cost;
            inOf[r] = in;
            outOf[r] = out;
          }
        }
      tryTour();
      return best < kNoWay;
    }
    for (auto [in, out] : bindings) {
      for (int r = 0; r < n; ++r) {
        entry[r] = exit[r] = kNoWay;
        for (int net = 0; net < hops_.nets(); ++net) {
          if ((in < 0 || in == net)) {
            double cost = price(hops_.in(net, stops_[r].front()));
            if (cost < entry[r]) {
              entry[r] = cost;
              inOf[r] = net;
            }
          }
          bool allowed =
              out == -1 || out == net || (out <= -2 && sameRail(-2 - out, net) && samePlane(-2 - out, net));
          if (allowed) {
            double cost = price(hops_.out(stops_[r].back(), net));
            if (cost < exit[r]) {
              exit[r] = cost;
              outOf[r] = net;
            }
          }
        }
      }
      tryTour();
    }
    return best < kNoWay;
  }

  const Graph& graph_;
  const HopLoads& hops_;
  const PackRequest& request_;
  Packed current_;
  std::vector<double> loads_;
  std::vector<double> prices_;
  TourProblem tour_;
  std::vector<std::vector<std::vector<int>>> numaNodes_;  ///< by NUMA node and L3; empty: orders of ranks
  std::vector<std::vector<int>> stops_;
  std::vector<int> lastTour_;  ///< over stops
  std::vector<std::vector<int>> hints_;
};

}  // namespace

Packed pack(const Graph& graph, const HopLoads& loads, const PackRequest& request) {
  return Packer(graph, loads, request).run();
}

}  // namespace tutti::topology
