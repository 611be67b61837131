#include "topology/render_svg.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "topology/layout.hpp"
#include "topology/links.hpp"

namespace tutti::topology {
namespace {

constexpr const char* kColours[] = {"#d62728", "#1f77b4", "#2ca02c", "#9467bd",
                                    "#ff7f0e", "#17becf", "#e377c2", "#8c564b"};

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

double strokeOf(double gbps) {
  return gbps >= kLocalGBps ? 1 : std::clamp(0.8 + std::sqrt(gbps) * 0.42, 1.0, 9.0);
}

struct Trace {
  std::string id;
  std::string label;
  std::string colour;
  std::vector<std::pair<int, int>> hops;  // graph nodes
  bool visible;
};

class Drawer {
 public:
  Drawer(const Graph& graph, const Analysis& analysis) : g_(graph), a_(analysis), layout_(layOut(graph)) {}

  std::string svg(const std::vector<Trace>& traces) {
    out_.clear();
    labels_.clear();
    const double legend = 96;
    const double width = std::max(layout_.width, 860.0);
    out_ += fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" width=\"{:.0f}\" "
        "height=\"{:.0f}\" font-family=\"Helvetica,Arial,sans-serif\">\n",
        width, layout_.height + legend, width, layout_.height + legend);
    out_ += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    for (size_t h = 0; h < layout_.hosts.size(); ++h) {
      const Box& b = layout_.hosts[h];
      if (!b.shown) continue;
      rect(b, "#fcfcfc", "#999999", 6);
      text(b.x + 8, b.y + 15, 12, "start", fmt::format("machine {}", h), "#555555");
    }
    for (int c : g_.cpus) frames(c);
    sysLinks();
    for (int n = 0; n < static_cast<int>(g_.nodes.size()); ++n) treeLink(n);
    nvlinks();
    for (int n = 0; n < static_cast<int>(g_.nodes.size()); ++n) leaf(n);
    if (layout_.nvswitch.shown) {
      rect(layout_.nvswitch, "#cfe3b4", "#5f8f1f", 6);
      double gbps = 0;
      for (int l : g_.nodes[g_.nvswitches[0]].out) gbps = std::max(gbps, g_.links[l].gbps);
      text(layout_.nvswitch.cx(), layout_.nvswitch.cy() + 5, 13, "middle",
           fmt::format("NVSwitch, {:.1f} GB/s each way to each GPU", gbps), "#33500f");
    }
    for (size_t i = 0; i < traces.size(); ++i) draw(traces[i], i);
    out_ += labels_;  // over the paths, so that they stay legible
    drawLegend(traces);
    out_ += "</svg>\n";
    return out_;
  }

  std::vector<Trace> traces(bool all) const {
    std::vector<Trace> found;
    for (size_t i = 0; i < a_.graphs.size(); ++i) {
      const ChannelGraph& g = a_.graphs[i];
      if (g.pattern == Pattern::Nvls) continue;
      size_t shown = 0;
      if (g.pattern == Pattern::Forest) {
        for (size_t t = 0; t < g.trees.size() && all && t < 32; ++t) {
          Trace trace{
              fmt::format("f{}", t),
              fmt::format("forest: tree of {} × {}",
                          g.trees[t].root < 0 ? "other machines" : g_.nodes[g_.ranks[g.trees[t].root]].name,
                          g.trees[t].copies),
              kColours[t % 8],
              {},
              false};
          for (const ForestTree::Edge& e : g.trees[t].edges)
            if (e.from >= 0 && e.to >= 0) trace.hops.push_back({g_.ranks[e.from], g_.ranks[e.to]});
          found.push_back(std::move(trace));
        }
        continue;
      }
      std::vector<std::vector<int>> seen;
      for (int c = 0; c < g.channels(); ++c) {
        if (std::find(seen.begin(), seen.end(), g.orders[c]) != seen.end()) continue;
        seen.push_back(g.orders[c]);
        if (shown >= (all ? 24u : 1u)) break;
        bool ring = g.pattern == Pattern::Ring;
        Trace trace{fmt::format("g{}c{}", i, c),
                    fmt::format("{} {}", nameOf(g.pattern), c),
                    kColours[(shown + (ring ? 0 : 1)) % 8],
                    {},
                    ring && shown == 0};
        if (!all) trace.visible = true;
        const std::vector<int>& o = g.orders[c];
        bool nets = g.nodes > 1 && static_cast<int>(g.nets.size()) == g.channels();
        if (nets) trace.hops.push_back({g_.nets[g.nets[c].first], g_.ranks[o.front()]});
        for (size_t k = 0; k + 1 < o.size(); ++k) trace.hops.push_back({g_.ranks[o[k]], g_.ranks[o[k + 1]]});
        if (nets)
          trace.hops.push_back({g_.ranks[ring ? o.back() : o.front()], g_.nets[g.nets[c].second]});
        else if (ring && o.size() > 1)
          trace.hops.push_back({g_.ranks[o.back()], g_.ranks[o.front()]});
        found.push_back(std::move(trace));
        ++shown;
      }
    }
    return found;
  }

 private:
  void rect(const Box& b, std::string_view fill, std::string_view stroke, double radius) {
    out_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"{}\" fill=\"{}\" "
        "stroke=\"{}\"/>\n",
        b.x, b.y, b.w, b.h, radius, fill, stroke);
  }
  void text(double x, double y, double size, std::string_view anchor, std::string_view what,
            std::string_view colour) {
    out_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n", x, y,
        size, anchor, colour, escaped(what));
  }
  /// Text that paths may cross: drawn after them, with a rim of the ground's colour.
  void label(double x, double y, double size, std::string_view anchor, std::string_view what,
             std::string_view colour, std::string_view ground) {
    labels_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\">{}</text>\n",
        x, y, size, anchor, colour, ground, escaped(what));
  }
  void line(double x1, double y1, double x2, double y2, double width, std::string_view colour,
            const std::string& title) {
    out_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{:.1f}\" "
        "stroke-linecap=\"round\"><title>{}</title></line>\n",
        x1, y1, x2, y2, colour, width, escaped(title));
  }

  void frames(int n) {
    const Node& node = g_.nodes[n];
    const Box& b = layout_.boxes[n];
    if (!b.container) return;
    struct Style {
      const char* fill;
      const char* stroke;
      double radius;
    };
    const Style style = node.type == NodeType::Cpu     ? Style{"#eef3fa", "#5b7fb0", 8}
                        : node.type == NodeType::Cache ? Style{"#e3ecd8", "#8aa36c", 5}
                        : node.type == NodeType::Pci   ? Style{"#fdf6e3", "#c5a856", 5}
                                                       : Style{"#fbe9dd", "#cf8f5f", 5};
    rect(b, style.fill, style.stroke, style.radius);
    std::string name = node.name;
    size_t room = static_cast<size_t>(std::max(4.0, (b.w - 10) / 6.2));
    if (name.size() > room) name = name.substr(name.size() - std::min(name.size(), room));
    label(b.x + 8, b.y + 14, 11, "start", name, "#333333", style.fill);
    for (int c = 0; c < static_cast<int>(g_.nodes.size()); ++c)
      if (layout_.parent[c] == n) frames(c);
  }

  void leaf(int n) {
    const Node& node = g_.nodes[n];
    const Box& b = layout_.boxes[n];
    if (!b.shown || b.container) return;
    if (node.type == NodeType::Gpu) {
      rect(b, "#b9dc8a", "#4f7a16", 5);
      label(b.cx(), b.cy() + 2, 12, "middle", fmt::format("GPU {}", node.rank), "#1d3004", "#b9dc8a");
      if (node.sm > 0)
        label(b.cx(), b.cy() + 15, 9, "middle", fmt::format("sm{}", node.sm), "#3b5713", "#b9dc8a");
    } else if (node.type == NodeType::Net) {
      rect(b, "#f6b98c", "#b5651d", 5);
      label(b.cx(), b.cy() - 2, node.name.size() > 11 ? 8 : 10, "middle", node.name.substr(0, 15), "#4d2600",
            "#f6b98c");
      label(b.cx(), b.cy() + 11, 9, "middle", fmt::format("{:g} GB/s", node.netGbps), "#6b3d10", "#f6b98c");
    } else if (node.type == NodeType::Core) {
      rect(b, node.rank >= 0 ? "#b9dc8a" : "#dddddd", "#4f7a16", 3);
      label(b.cx(), b.cy() + 8, 10, "middle", fmt::format("{}", node.id), "#1d3004",
            node.rank >= 0 ? "#b9dc8a" : "#dddddd");
    }
  }

  void treeLink(int n) {
    int p = layout_.parent[n];
    if (p < 0 || !layout_.boxes[n].shown) return;
    if (g_.nodes[n].type == NodeType::Core) return;  // cores of a group sit in it; a line says nothing more
    int l = -1;
    for (LinkType t : {LinkType::Pci, LinkType::Mem, LinkType::Net})
      if (l < 0) l = g_.findLink(p, n, t);
    if (l < 0) return;
    const Box& b = layout_.boxes[n];
    double gbps = g_.links[l].gbps;
    // From the box's upper edge to the line above its row: the header's for the first row.
    line(b.cx(), b.y, b.cx(), b.y - 15, strokeOf(gbps),
         g_.nodes[n].type == NodeType::Net ? "#b5651d" : "#8a7430",
         fmt::format("{}: {:g} GB/s", g_.linkName(l), gbps));
    if (gbps < kLocalGBps)
      text(b.cx() + 4 + strokeOf(gbps) / 2, b.y - 5, 8, "start", fmt::format("{:g}", gbps), "#665522");
    int c2c = g_.findLink(p, n, LinkType::C2c);
    if (c2c >= 0) {
      line(b.x + 8, b.y, b.x + 8, b.y - 15, strokeOf(g_.links[c2c].gbps), "#7a3fb0",
           fmt::format("{}: {:g} GB/s", g_.linkName(c2c), g_.links[c2c].gbps));
    }
  }

  void sysLinks() {
    for (int l = 0; l < static_cast<int>(g_.links.size()); ++l) {
      const Link& link = g_.links[l];
      if (link.type != LinkType::Sys || link.from > link.to || g_.hosts > 1) continue;
      const Box& a = layout_.boxes[link.from];
      const Box& b = layout_.boxes[link.to];
      // Neighbours only: a full mesh of sockets would hide the rest, and the numbers are the same.
      bool sideBySide = std::abs(a.y - b.y) < 1 && std::abs(b.x - (a.x + a.w)) < 40;
      bool below = std::abs(a.x - b.x) < 1 && b.y > a.y && b.y - (a.y + a.h) < 40;
      std::string title = fmt::format("{}: {:g} GB/s", g_.linkName(l), link.gbps);
      if (sideBySide) {
        line(a.x + a.w, a.y + 12, b.x, b.y + 12, strokeOf(link.gbps), "#5b7fb0", title);
        text((a.x + a.w + b.x) / 2, a.y + 6, 9, "middle", fmt::format("{:g}", link.gbps), "#34527a");
      } else if (below) {
        line(a.x + 30, a.y + a.h, b.x + 30, b.y, strokeOf(link.gbps), "#5b7fb0", title);
        text(a.x + 36, (a.y + a.h + b.y) / 2 + 3, 9, "start", fmt::format("{:g}", link.gbps), "#34527a");
      }
    }
  }

  void nvlinks() {
    for (int l = 0; l < static_cast<int>(g_.links.size()); ++l) {
      const Link& link = g_.links[l];
      if (link.type != LinkType::Nvl) continue;
      const Box& a = layout_.boxes[link.from];
      const Box& b = layout_.boxes[link.to];
      std::string title = escaped(fmt::format("{}: {:g} GB/s", g_.linkName(l), link.gbps));
      bool toSwitch = g_.nodes[link.to].type == NodeType::Nvs;
      if (toSwitch) {
        if (g_.ranks.size() > 16) {  // a stub: a hundred long lines would hide the machine
          line(a.cx(), a.y + a.h, a.cx(), a.y + a.h + 7, strokeOf(link.gbps), "#6fa61e", title);
        } else {
          // Beside the GPUs drawn below this one, not through them.
          int under = 0;
          for (int r : g_.ranks) {
            const Box& other = layout_.boxes[r];
            if (other.y > a.y && std::abs(other.cx() - a.cx()) < a.w) ++under;
          }
          double x = a.cx() + (a.w / 2 + 5) * under;
          double top = under > 0 ? a.y + a.h + 8 : a.y + a.h;
          if (under > 0) line(a.cx() + 20, a.y + a.h, x, top, strokeOf(link.gbps) * 0.6, "#8fc044", title);
          line(x, top, x, layout_.nvswitch.y, strokeOf(link.gbps) * 0.6, "#8fc044", title);
        }
      } else if (g_.nodes[link.to].type == NodeType::Gpu && link.from < link.to) {
        double bend = std::hypot(a.cx() - b.cx(), a.cy() - b.cy()) * 0.16;
        double mx = (a.cx() + b.cx()) / 2;
        double my = (a.cy() + b.cy()) / 2 + (std::abs(a.cy() - b.cy()) < 30 ? 22 + bend : bend / 2);
        out_ += fmt::format(
            "<path d=\"M{:.1f},{:.1f} Q{:.1f},{:.1f} {:.1f},{:.1f}\" fill=\"none\" stroke=\"#6fa61e\" "
            "stroke-opacity=\"0.45\" stroke-width=\"{:.1f}\"><title>{}</title></path>\n",
            a.cx(), a.cy(), mx, my, b.cx(), b.cy(), strokeOf(link.gbps) * 0.8, title);
      }
    }
  }

  void draw(const Trace& t, size_t index) {
    // Each path a little lower than the one before, so that equal ways stay apart.
    const double step = (g_.hostRanks ? 2.5 : 5.0) * static_cast<double>(index % 4);
    out_ += fmt::format(
        "<g id=\"{}\" class=\"trace\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.2\" "
        "stroke-opacity=\"0.85\"{}>\n",
        t.id, t.colour, t.visible ? "" : " style=\"display:none\"");
    const bool cores = g_.hostRanks;
    for (auto [from, to] : t.hops) {
      const Box& a = layout_.boxes[from];
      const Box& b = layout_.boxes[to];
      if (!a.shown || !b.shown) continue;
      // Above the boxes' middles, bowed upwards, so that a ring reads as a string of arcs.
      double ay = a.y + a.h * kPathHeight + step;
      double by = b.y + b.h * kPathHeight + step;
      double distance = std::hypot(a.cx() - b.cx(), ay - by);
      double bow = cores ? 4 : std::min(14 + distance * 0.12, 90.0);
      out_ += fmt::format("<path d=\"M{:.1f},{:.1f} Q{:.1f},{:.1f} {:.1f},{:.1f}\"/>", a.cx(), ay,
                          (a.cx() + b.cx()) / 2, (ay + by) / 2 - bow, b.cx(), by);
      // The arrow head, at three fifths of the arc.
      double s = 0.6;
      double qx = (a.cx() + b.cx()) / 2;
      double qy = (ay + by) / 2 - bow;
      double px = (1 - s) * (1 - s) * a.cx() + 2 * s * (1 - s) * qx + s * s * b.cx();
      double py = (1 - s) * (1 - s) * ay + 2 * s * (1 - s) * qy + s * s * by;
      double dx = 2 * (1 - s) * (qx - a.cx()) + 2 * s * (b.cx() - qx);
      double dy = 2 * (1 - s) * (qy - ay) + 2 * s * (by - qy);
      double length = std::max(1e-6, std::hypot(dx, dy));
      dx /= length;
      dy /= length;
      double size = cores ? 3 : 5;
      out_ += fmt::format(
          "<path fill=\"{}\" stroke=\"none\" d=\"M{:.1f},{:.1f} L{:.1f},{:.1f} L{:.1f},{:.1f} Z\"/>\n",
          t.colour, px + dx * size, py + dy * size, px - dx * size - dy * size * 0.8,
          py - dy * size + dx * size * 0.8, px - dx * size + dy * size * 0.8,
          py - dy * size - dx * size * 0.8);
    }
    if (!t.hops.empty() && layout_.boxes[t.hops[0].first].shown) {
      const Box& b = layout_.boxes[t.hops[0].first];
      out_ += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" stroke=\"#ffffff\" "
          "stroke-width=\"1\"/>\n",
          b.cx(), b.y + b.h * kPathHeight + step, cores ? 3 : 4, t.colour);
    }
    out_ += "</g>\n";
  }

  void drawLegend(const std::vector<Trace>& traces) {
    double y = layout_.height + 8;
    double x = 14;
    std::string summary;
    for (const ChannelGraph& g : a_.graphs)
      summary += fmt::format("{}{} {:.0f}", summary.empty() ? "" : "   ", nameOf(g.pattern), g.totalGbps());
    text(x, y + 6, 12, "start",
         fmt::format("Totals in GB/s: {}   bound for AllGather {:.0f}", summary, a_.bounds.allGather),
         "#222222");
    y += 24;
    for (double gbps : {6.0, 24.0, 48.0, 370.0}) {
      line(x, y + 4, x + 30, y + 4, strokeOf(gbps), "#8a7430", "");
      text(x + 36, y + 8, 10, "start", fmt::format("{:g} GB/s", gbps), "#444444");
      x += 110;
    }
    for (auto [colour, name] : {std::pair("#8a7430", "PCIe"), std::pair("#6fa61e", "NVLink"),
                                std::pair("#5b7fb0", "between sockets"), std::pair("#7a3fb0", "C2C")}) {
      line(x, y + 4, x + 18, y + 4, 3, colour, "");
      text(x + 23, y + 8, 10, "start", name, "#444444");
      x += 34 + 7.0 * static_cast<double>(std::string_view(name).size());
    }
    x = 14;
    y += 24;
    for (const Trace& t : traces) {
      if (!t.visible) continue;
      line(x, y + 4, x + 24, y + 4, 2.5, t.colour, "");
      text(x + 30, y + 8, 10, "start", t.label + " (starts at the dot)", "#444444");
      x += 190;
    }
  }

  static constexpr double kPathHeight = 0.16;  // where in a box its paths begin and end, above its name

  const Graph& g_;
  const Analysis& a_;
  Layout layout_;
  std::string out_;
  std::string labels_;
};

}  // namespace

std::string renderSvg(const Graph& graph, const Analysis& analysis) {
  Drawer drawer(graph, analysis);
  return drawer.svg(drawer.traces(false));
}

std::string renderHtml(const Graph& graph, const Analysis& analysis) {
  Drawer drawer(graph, analysis);
  std::vector<Trace> traces = drawer.traces(true);
  std::string out =
      "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>tutti topo</title>\n<style>body{font:13px "
      "Helvetica,Arial,sans-serif;margin:0;display:flex}"
      "nav{flex:0 0 230px;height:100vh;overflow:auto;padding:12px;box-sizing:border-box;border-right:1px "
      "solid #ccc}"
      "main{flex:1;height:100vh;overflow:auto}label{display:block;padding:1px "
      "0}i{display:inline-block;width:14px;height:4px;margin-right:6px;vertical-align:middle}"
      "button{margin:4px 4px 8px "
      "0}pre{white-space:pre;font-size:11px;padding:12px}main "
      "svg{max-width:100%;height:auto}</style></head><body>\n<nav>\n"
      "<button onclick=\"all_(true)\">all</button><button onclick=\"all_(false)\">none</button>\n";
  for (const Trace& t : traces)
    out += fmt::format(
        "<label><input type=\"checkbox\" data-t=\"{}\"{} onchange=\"show_(this)\"><i "
        "style=\"background:{}\"></i>{}</label>\n",
        t.id, t.visible ? " checked" : "", t.colour, escaped(t.label));
  out += "</nav>\n<main>\n" + drawer.svg(traces) + "<pre>" + escaped(renderText(graph, analysis, 0)) +
         "</pre></main>\n<script>function "
         "show_(b){document.getElementById(b.dataset.t).style.display=b.checked?'':'none'}"
         "function all_(v){document.querySelectorAll('nav "
         "input').forEach(b=>{b.checked=v;show_(b)})}</script></body></html>\n";
  return out;
}

}  // namespace tutti::topology
