#include "topology/check.hpp"

#include <algorithm>
#include <map>

namespace tutti::topology {
namespace {

constexpr double kTolerance = 1 + 1e-6;

class Checker {
 public:
  Checker(const Graph& graph, const Paths& paths, const ChannelGraph& found)
      : graph_(graph), paths_(paths), g_(found), load_(graph.links.size(), 0.0) {}

  Status run() {
    if (g_.pattern == Pattern::Forest) {
      TUTTI_TRY(forest());
    } else if (g_.pattern == Pattern::Nvls) {
      TUTTI_TRY(stars());
    } else {
      TUTTI_TRY(orders());
    }
    return capacities();
  }

 private:
  Error fail(const std::string& what) const {
    return makeError(Code::InternalError, "{} over {} machine(s): {}", nameOf(g_.pattern), g_.nodes, what);
  }

  Status way(int from, int to, double gbps) {
    const Path& p = paths_.between(from, to);
    if (p.type == PathType::Dis)
      return fail(
          fmt::format("there is no way from {} to {}", graph_.nodes[from].name, graph_.nodes[to].name));
    TUTTI_TRY(walk(from, to, p.links));
    for (const LinkLoad& l : paths_.loads(from, to)) load_[l.link] += gbps * l.factor;
    return {};
  }

  Status walk(int from, int to, const std::vector<int>& links) const {
    int at = from;
    for (int l : links) {
      if (l < 0 || l >= static_cast<int>(graph_.links.size()) || graph_.links[l].from != at)
        return fail(fmt::format("a way from {} to {} breaks off at {}", graph_.nodes[from].name,
                                graph_.nodes[to].name, graph_.nodes[at].name));
      at = graph_.links[l].to;
    }
    if (at != to)
      return fail(fmt::format("a way from {} ends at {}, not at {}", graph_.nodes[from].name,
                              graph_.nodes[at].name, graph_.nodes[to].name));
    return {};
  }

  Status permutation(const std::vector<int>& order) const {
    std::vector<char> seen(graph_.ranks.size(), 0);
    for (int r : order) {
      if (r < 0 || r >= static_cast<int>(seen.size()) || seen[r])
        return fail(fmt::format("rank {} is visited twice or does not exist", r));
      seen[r] = 1;
    }
    if (order.size() != seen.size())
      return fail(fmt::format("{} of {} ranks are visited", order.size(), seen.size()));
    return {};
  }

  Status orders() {
    if (g_.nodes > 1 && g_.nets.size() != g_.orders.size()) return fail("channels without NICs");
    std::map<std::pair<uint64_t, int>, std::pair<double, double>> wires;
    for (int c = 0; c < g_.channels(); ++c) {
      const std::vector<int>& o = g_.orders[c];
      TUTTI_TRY(permutation(o));
      for (size_t i = 0; i + 1 < o.size(); ++i)
        TUTTI_TRY(way(graph_.ranks[o[i]], graph_.ranks[o[i + 1]], g_.intraGbps));
      bool ring = g_.pattern == Pattern::Ring;
      if (g_.nodes == 1) {
        if (ring && o.size() > 1)
          TUTTI_TRY(way(graph_.ranks[o.back()], graph_.ranks[o.front()], g_.intraGbps));
        continue;
      }
      auto [in, out] = g_.nets[c];
      if (in < 0 || out < 0 || in >= static_cast<int>(graph_.nets.size()) ||
          out >= static_cast<int>(graph_.nets.size()))
        return fail("a NIC that does not exist");
      TUTTI_TRY(way(graph_.nets[in], graph_.ranks[o.front()], g_.interGbps));
      TUTTI_TRY(way(graph_.ranks[ring ? o.back() : o.front()], graph_.nets[out], g_.interGbps));
      const Node& a = graph_.nodes[graph_.nets[in]];
      const Node& b = graph_.nodes[graph_.nets[out]];
      wires[{a.asic, a.port}].first += g_.interGbps;
      wires[{b.asic, b.port}].second += g_.interGbps;
    }
    for (const auto& [wire, used] : wires)
      for (int n : graph_.nets)
        if (graph_.nodes[n].asic == wire.first && graph_.nodes[n].port == wire.second &&
            std::max(used.first, used.second) > graph_.nodes[n].netGbps * kTolerance)
          return fail(fmt::format("{} carries {:.2f} of {:.2f} GB/s", graph_.nodes[n].name,
                                  std::max(used.first, used.second), graph_.nodes[n].netGbps));
    return {};
  }

  Status stars() {
    if (graph_.nvswitches.empty()) return fail("there is no NVSwitch");
    int nvs = graph_.nvswitches[0];
    std::vector<char> seen(graph_.ranks.size(), 0);
    // Stars inside and NICs outside are not busy together: a star's own traffic stays on the NVLinks.
    for (int c = 0; c < g_.channels(); ++c) {
      if (g_.orders[c].size() != 1) return fail("a star has one head");
      int head = g_.orders[c][0];
      if (head < 0 || head >= static_cast<int>(seen.size()) || seen[head]) return fail("a head twice");
      seen[head] = 1;
      for (int r = 0; r < static_cast<int>(graph_.ranks.size()); ++r) {
        double gbps = g_.intraGbps * (r == head ? 2 : 1);
        TUTTI_TRY(way(graph_.ranks[r], nvs, gbps));
        TUTTI_TRY(way(nvs, graph_.ranks[r], gbps));
      }
    }
    TUTTI_TRY(capacities());
    std::fill(load_.begin(), load_.end(), 0.0);
    for (int c = 0; c < g_.channels() && g_.nodes > 1; ++c) {
      TUTTI_TRY(way(graph_.nets[g_.nets[c].first], graph_.ranks[g_.orders[c][0]], g_.interGbps));
      TUTTI_TRY(way(graph_.ranks[g_.orders[c][0]], graph_.nets[g_.nets[c].second], g_.interGbps));
    }
    return {};
  }

  int nodeOf(int position) const { return position < 0 ? -1 : graph_.ranks[position]; }

  Status forest() {
    const int n = static_cast<int>(graph_.ranks.size());
    std::vector<double> perRoot(n, 0.0);
    double outside = 0;
    for (const ForestTree& t : g_.trees) {
      std::vector<char> reached(n, 0);
      bool sent = false;
      if (t.root >= n || t.copies < 1 || t.gbps <= 0) return fail("a tree without a root or a speed");
      (t.root < 0 ? outside : perRoot[t.root]) += t.gbps * t.copies;
      if (t.root >= 0) reached[t.root] = 1;
      for (const ForestTree::Edge& e : t.edges) {
        if (e.from >= n || e.to >= n) return fail("an edge to a rank that does not exist");
        if (e.from >= 0 && !reached[e.from])
          return fail(fmt::format("rank {} passes on what it has not got", e.from));
        if (e.from < 0 && t.root >= 0)
          return fail("what leaves the machine does not come back in the same tree");
        if (e.to < 0) {
          if (sent) return fail("a tree leaves the machine twice");
          sent = true;
        } else {
          if (reached[e.to]) return fail(fmt::format("rank {} is reached twice", e.to));
          reached[e.to] = 1;
        }
        if (e.from < 0 && e.to < 0) continue;
        if (e.links.empty()) return fail("an edge without links");
        int from = e.from < 0 ? graph_.links[e.links.front()].from : nodeOf(e.from);
        int to = e.to < 0 ? graph_.links[e.links.back()].to : nodeOf(e.to);
        if ((e.from < 0 && graph_.nodes[from].type != NodeType::Net) ||
            (e.to < 0 && graph_.nodes[to].type != NodeType::Net))
          return fail("an edge to other machines that is not at a NIC");
        TUTTI_TRY(walk(from, to, e.links));
        for (int l : e.links) load_[l] += t.gbps * t.copies;
      }
      if (std::count(reached.begin(), reached.end(), 1) != n)
        return fail(fmt::format("the tree of rank {} does not span", t.root));
      if (g_.nodes > 1 && t.root >= 0 && !sent)
        return fail(fmt::format("the tree of rank {} stays inside", t.root));
    }
    double least = *std::min_element(perRoot.begin(), perRoot.end());
    double most = *std::max_element(perRoot.begin(), perRoot.end());
    if (most > least * kTolerance) return fail("ranks' shards do not flow at one speed");
    if (g_.nodes > 1 && std::abs(outside - least * n * (g_.nodes - 1)) > 1e-6 * outside)
      return fail("the other machines' shards do not come in at the ranks' speed");
    return {};
  }

  Status capacities() const {
    for (size_t l = 0; l < load_.size(); ++l)
      if (load_[l] > graph_.links[l].gbps * kTolerance)
        return fail(fmt::format("{} carries {:.3f} of {:.3f} GB/s", graph_.linkName(static_cast<int>(l)),
                                load_[l], graph_.links[l].gbps));
    return {};
  }

  const Graph& graph_;
  const Paths& paths_;
  const ChannelGraph& g_;
  std::vector<double> load_;
};

}  // namespace

Status checkGraph(const Graph& graph, const Paths& paths, const ChannelGraph& found) {
  return Checker(graph, paths, found).run();
}

}  // namespace tutti::topology
