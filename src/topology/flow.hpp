// Maximum flow (Dinic) on small graphs, whole-number or real capacities.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "topology/work.hpp"

namespace tutti::topology {

template <typename T>
class FlowGraph {
 public:
  explicit FlowGraph(int nodes) : head_(static_cast<size_t>(nodes), -1) {}

  int nodes() const { return static_cast<int>(head_.size()); }
  /// Returns the edge's number. Capacities may be changed between runs.
  int addEdge(int from, int to, T capacity) {
    int id = static_cast<int>(edges_.size());
    edges_.push_back({to, head_[from], capacity});
    head_[from] = id;
    edges_.push_back({from, head_[to], T(0)});
    head_[to] = id + 1;
    capacity_.push_back(capacity);
    capacity_.push_back(T(0));
    return id;
  }
  void setCapacity(int edge, T capacity) { capacity_[edge] = capacity; }
  T capacity(int edge) const { return capacity_[edge]; }

  /// The flow from source to sink, not more than `limit` (the search stops there).
  T run(int source, int sink, T limit = std::numeric_limits<T>::max()) {
    ++threadWork.flows;
    threadWork.flowEdges += edges_.size();
    for (size_t e = 0; e < edges_.size(); ++e) edges_[e].left = capacity_[e];
    T total = 0;
    while (total < limit && label(source, sink)) {
      at_ = head_;
      while (total < limit) {
        T pushed = push(source, sink, limit - total);
        if (pushed <= epsilon()) break;
        total += pushed;
      }
    }
    return total;
  }
  /// After run(): what went over an edge.
  T flowOn(int edge) const { return capacity_[edge] - edges_[edge].left; }
  /// After run(): whether the node is on the source's side of the minimum cut. REQUIRES that the limit was
  /// not reached.
  bool onSourceSide(int node) const { return level_[node] >= 0; }

 private:
  struct Edge {
    int to;
    int next;
    T left;
  };
  static constexpr T epsilon() {
    if constexpr (std::numeric_limits<T>::is_integer) return T(0);
    return T(1e-9);
  }
  bool label(int source, int sink) {
    level_.assign(head_.size(), -1);
    queue_.clear();
    queue_.push_back(source);
    level_[source] = 0;
    for (size_t i = 0; i < queue_.size(); ++i) {
      int n = queue_[i];
      for (int e = head_[n]; e >= 0; e = edges_[e].next) {
        if (edges_[e].left <= epsilon() || level_[edges_[e].to] >= 0) continue;
        level_[edges_[e].to] = level_[n] + 1;
        queue_.push_back(edges_[e].to);
      }
    }
    return level_[sink] >= 0;
  }
  T push(int node, int sink, T limit) {
    if (node == sink) return limit;
    for (int& e = at_[node]; e >= 0; e = edges_[e].next) {
      Edge& edge = edges_[e];
      if (edge.left <= epsilon() || level_[edge.to] != level_[node] + 1) continue;
      T pushed = push(edge.to, sink, std::min(limit, edge.left));
      if (pushed <= epsilon()) continue;
      edge.left -= pushed;
      edges_[e ^ 1].left += pushed;
      return pushed;
    }
    return T(0);
  }

  std::vector<Edge> edges_;
  std::vector<T> capacity_;
  std::vector<int> head_;
  std::vector<int> at_;
  std::vector<int> level_;
  std::vector<int> queue_;
};

}  // namespace tutti::topology
