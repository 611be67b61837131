#include "topology/layout.hpp"

#include <algorithm>
#include <cmath>

namespace tutti::topology {
namespace {

constexpr double kPad = 10;
constexpr double kHeader = 20;
constexpr double kLine = 20;  // room for links between a header and what hangs below it

class Nester {
 public:
  explicit Nester(const Graph& graph) : g_(graph), below_(graph.nodes.size()) {
    layout_.boxes.resize(graph.nodes.size());
    layout_.parent.assign(graph.nodes.size(), -1);
    hang();
  }

  Layout run() {
    std::vector<std::vector<int>> byHost(static_cast<size_t>(g_.hosts));
    for (int c : g_.cpus) byHost[g_.nodes[c].host].push_back(c);
    const bool many = g_.hosts > 1;
    const double rowLimit = g_.hosts > 8 ? 2600 : many ? 1700 : 1500;
    double x = kPad;
    double y = kPad;
    double rowHeight = 0;
    for (const std::vector<int>& cpus : byHost) {
      std::vector<std::pair<double, double>> sizes;
      for (int c : cpus) sizes.push_back(measure(c));
      // A machine's NUMA nodes side by side, wrapped when the row is full.
      double w = 0;
      double h = 0;
      double rowX = 0;
      double rowY = 0;
      double rowH = 0;
      std::vector<std::pair<double, double>> at;
      for (auto [cw, ch] : sizes) {
        if (rowX > 0 && rowX + cw > rowLimit) {
          rowX = 0;
          rowY += rowH + 3 * kPad;
          rowH = 0;
        }
        at.push_back({rowX, rowY});
        rowX += cw + 3 * kPad;
        rowH = std::max(rowH, ch);
        w = std::max(w, rowX - 3 * kPad);
        h = std::max(h, rowY + rowH);
      }
      double frame = many ? kPad : 0;
      double title = many ? kHeader : 0;
      if (x > kPad && x + w + 2 * frame > rowLimit) {
        x = kPad;
        y += rowHeight + 2 * kPad;
        rowHeight = 0;
      }
      for (size_t i = 0; i < cpus.size(); ++i)
        place(cpus[i], x + frame + at[i].first, y + frame + title + at[i].second);
      layout_.hosts.push_back({x, y, w + 2 * frame, h + 2 * frame + title, many, true});
      rowHeight = std::max(rowHeight, h + 2 * frame + title);
      x += w + 2 * frame + 2 * kPad;
      layout_.width = std::max(layout_.width, x);
    }
    y += rowHeight;
    if (!g_.nvswitches.empty()) {
      layout_.nvswitch = {kPad, y + 60, std::max(120.0, layout_.width - 3 * kPad), 30, true, false};
      layout_.boxes[g_.nvswitches[0]] = layout_.nvswitch;
      y += 100;
    }
    layout_.height = y + 2 * kPad;
    return std::move(layout_);
  }

 private:
  void hang() {
    std::vector<char> seen(g_.nodes.size(), 0);
    std::vector<int> queue = g_.cpus;
    for (int c : queue) seen[c] = 1;
    for (size_t i = 0; i < queue.size(); ++i) {
      int n = queue[i];
      if (g_.nodes[n].type == NodeType::Gpu || g_.nodes[n].type == NodeType::Net ||
          g_.nodes[n].type == NodeType::Core)
        continue;
      for (int l = 0; l < static_cast<int>(g_.links.size()); ++l) {
        const Link& link = g_.links[l];
        bool down = link.type == LinkType::Pci || link.type == LinkType::Mem || link.type == LinkType::Net;
        if (link.from != n || !down || seen[link.to]) continue;
        seen[link.to] = 1;
        layout_.parent[link.to] = n;
        below_[n].push_back(link.to);
        queue.push_back(link.to);
      }
    }
    // Caches with their cores first, then the PCIe tree.
    for (std::vector<int>& children : below_)
      std::stable_partition(children.begin(), children.end(),
                            [&](int c) { return g_.nodes[c].type == NodeType::Cache; });
  }

  /// Children in rows of about equal width.
  std::pair<double, double> measure(int n) {
    Box& box = layout_.boxes[n];
    box.shown = true;
    switch (g_.nodes[n].type) {
      case NodeType::Gpu:
        box.w = 72, box.h = 44;
        break;
      case NodeType::Net:
        box.w = 72, box.h = 34;
        break;
      case NodeType::Core:
        box.w = 30, box.h = 24;
        break;
      default: {
        box.container = true;
        std::vector<std::pair<double, double>> sizes;
        double area = 0;
        double widest = 0;
        for (int c : below_[n]) {
          sizes.push_back(measure(c));
          area += (sizes.back().first + kPad) * (sizes.back().second + kPad);
          widest = std::max(widest, sizes.back().first);
        }
        bool cores = g_.nodes[n].type == NodeType::Cache;
        double limit = cores ? 8 * 36 : std::max(widest, std::max(380.0, std::sqrt(area) * 1.6));
        double line = g_.nodes[n].type == NodeType::Cache ? 6 : kLine;
        double rowX = kPad;
        double rowY = kHeader + line;
        double rowH = 0;
        double w = 96;
        for (size_t i = 0; i < sizes.size(); ++i) {
          if (rowX > kPad && rowX + sizes[i].first > limit) {
            rowX = kPad;
            rowY += rowH + (cores ? 6 : kLine);
            rowH = 0;
          }
          Box& child = layout_.boxes[below_[n][i]];
          child.x = rowX;
          child.y = rowY;
          rowX += sizes[i].first + (cores ? 6 : kPad);
          rowH = std::max(rowH, sizes[i].second);
          w = std::max(w, rowX - (cores ? 6 : kPad) + kPad);
        }
        box.w = w;
        box.h = sizes.empty() ? kHeader + 14 : rowY + rowH + kPad;
      }
    }
    return {box.w, box.h};
  }

  void place(int n, double x, double y) {
    Box& box = layout_.boxes[n];
    box.x = x;
    box.y = y;
    for (int c : below_[n]) place(c, x + layout_.boxes[c].x, y + layout_.boxes[c].y);
  }

  const Graph& g_;
  std::vector<std::vector<int>> below_;
  Layout layout_;
};

}  // namespace

Layout layOut(const Graph& graph) {
  return Nester(graph).run();
}

}  // namespace tutti::topology
