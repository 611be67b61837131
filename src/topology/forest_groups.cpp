#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "topology/forest.hpp"

namespace tutti::topology {
namespace {

struct Group {
  int cpu;                             // the NUMA node
  std::vector<int> ranks;              // in the order of the chain: L3 group by L3 group
  std::vector<std::vector<int>> up;    // by position in ranks: links from the core to the NUMA node
  std::vector<std::vector<int>> down;  // and back
};

/// Links from a core up to its NUMA node, empty when it does not hang below one.
std::vector<int> wayUp(const Graph& graph, int core, int& cpu) {
  std::vector<int> links;
  int at = core;
  for (int step = 0; step < 4; ++step) {
    int next = -1;
    for (int l : graph.nodes[at].out) {
      NodeType type = graph.nodes[graph.links[l].to].type;
      if (type == NodeType::Cpu || (type == NodeType::Cache && graph.links[l].to != at && at == core))
        next = l;
    }
    if (next < 0) return {};
    links.push_back(next);
    at = graph.links[next].to;
    if (graph.nodes[at].type == NodeType::Cpu) {
      cpu = at;
      return links;
    }
  }
  return {};
}

class Expander {
 public:
  Expander(const Graph& graph, std::vector<Group> groups)
      : graph_(graph), groups_(std::move(groups)), turn_(groups_.size(), 0) {}

  /// One rank's tree from a tree over groups, entered at `entry` in the group of its root.
  ForestTree expand(const ForestTree& over, int rootPosition) {
    ForestTree tree;
    tree.gbps = over.gbps;
    tree.root = over.root < 0 ? ForestTree::kOutside : groups_[over.root].ranks[rootPosition];
    std::vector<int> entry(groups_.size(), -1);
    if (over.root >= 0) {
      entry[over.root] = rootPosition;
      chain(tree, over.root, rootPosition);
    }
    for (const ForestTree::Edge& e : over.edges) {
      ForestTree::Edge edge{ForestTree::kOutside, ForestTree::kOutside, {}};
      if (e.from >= 0) {
        const Group& g = groups_[e.from];
        // The end of the chain forwards nothing inside: it has the most room to send on.
        size_t sender = (static_cast<size_t>(entry[e.from]) + g.ranks.size() - 1) % g.ranks.size();
        edge.from = g.ranks[sender];
        edge.links = g.up[sender];
      }
      edge.links.insert(edge.links.end(), e.links.begin(), e.links.end());
      if (e.to >= 0) {
        Group& g = groups_[e.to];
        size_t at = turn_[e.to]++ % g.ranks.size();
        entry[e.to] = static_cast<int>(at);
        edge.to = g.ranks[at];
        edge.links.insert(edge.links.end(), g.down[at].begin(), g.down[at].end());
      }
      tree.edges.push_back(std::move(edge));
      if (e.to >= 0) chain(tree, e.to, entry[e.to]);
    }
    return tree;
  }

  const std::vector<Group>& groups() const { return groups_; }

 private:
  void chain(ForestTree& tree, int group, int first) {
    const Group& g = groups_[group];
    for (size_t i = 0; i + 1 < g.ranks.size(); ++i) {
      size_t a = (static_cast<size_t>(first) + i) % g.ranks.size();
      size_t b = (a + 1) % g.ranks.size();
      ForestTree::Edge edge{g.ranks[a], g.ranks[b], {}};
      // Up to the cache both share, or to the NUMA node, and down again.
      size_t common = 0;
      while (common < g.up[a].size() &&
             graph_.links[g.up[a][common]].to != graph_.links[g.down[b][g.down[b].size() - 1 - common]].from)
        ++common;
      for (size_t u = 0; u <= common && u < g.up[a].size(); ++u) edge.links.push_back(g.up[a][u]);
      for (size_t d = g.down[b].size() - 1 - std::min(common, g.down[b].size() - 1); d < g.down[b].size();
           ++d)
        edge.links.push_back(g.down[b][d]);
      tree.edges.push_back(std::move(edge));
    }
  }

  const Graph& graph_;
  std::vector<Group> groups_;
  std::vector<size_t> turn_;
};

}  // namespace

bool groupedForest(const Graph& graph, int machines, const ForestOptions& options,
                   std::vector<ForestTree>& trees) {
  if (!graph.hostRanks) return false;
  std::map<int, Group> byCpu;
  std::map<int, std::vector<std::pair<int, int>>> members;  // (cache, rank) by NUMA node
  for (int r = 0; r < static_cast<int>(graph.ranks.size()); ++r) {
    int cpu = -1;
    std::vector<int> up = wayUp(graph, graph.ranks[r], cpu);
    if (up.empty()) return false;
    members[cpu].push_back({graph.links[up[0]].to, r});
  }
  for (auto& [cpu, list] : members) {
    std::sort(list.begin(), list.end());
    Group& g = byCpu[cpu];
    g.cpu = cpu;
    for (auto [cache, r] : list) {
      int ignored = -1;
      g.ranks.push_back(r);
      g.up.push_back(wayUp(graph, graph.ranks[r], ignored));
      std::vector<int> down;
      for (int l : g.up.back()) down.insert(down.begin(), graph.reverseOf(l));
      if (std::find(down.begin(), down.end(), -1) != down.end()) return false;
      g.down.push_back(std::move(down));
    }
  }
  std::vector<Group> groups;
  std::vector<int> nodes;
  for (auto& [cpu, g] : byCpu) {
    nodes.push_back(cpu);
    groups.push_back(std::move(g));
  }
  Fabric over = fabricOf(graph, machines, nodes);
  for (const Group& g : groups) over.weight.push_back(static_cast<int>(g.ranks.size()));
  std::vector<ForestTree> packed;
  if (groups.size() == 1 && machines == 1) {
    packed.push_back({0, 1.0, over.weight[0], {}});
  } else {
    Bounds bounds = boundsOf(graph, over);
    if (bounds.perRank <= 0 || !packForest(over, bounds.perRank, options, packed)) return false;
  }
  // A group's trees go to its ranks in turn; the others' shards count as they come.
  Expander expander(graph, std::move(groups));
  std::vector<size_t> turn(over.weight.size(), 0);
  for (const ForestTree& t : packed) {
    int parts = std::min(t.copies, t.root < 0 ? 64 : t.copies);
    for (int c = 0; c < parts; ++c) {
      size_t position = t.root < 0 ? 0 : turn[t.root]++ % expander.groups()[t.root].ranks.size();
      ForestTree tree = expander.expand(t, static_cast<int>(position));
      tree.copies = t.root < 0 ? t.copies / parts + (c < t.copies % parts ? 1 : 0) : 1;
      trees.push_back(std::move(tree));
    }
  }
  // Inside a NUMA node the cores' own links may be what is narrowest.
  std::vector<double> load(graph.links.size(), 0.0);
  for (const ForestTree& t : trees)
    for (const ForestTree::Edge& e : t.edges)
      for (int l : e.links) load[l] += t.copies;
  double speed = std::numeric_limits<double>::infinity();
  for (size_t l = 0; l < load.size(); ++l)
    if (load[l] > 0) speed = std::min(speed, graph.links[l].gbps / load[l]);
  for (ForestTree& t : trees) t.gbps = speed;
  return std::isfinite(speed);
}

}  // namespace tutti::topology
