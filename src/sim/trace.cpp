#include "sim/trace.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

namespace tutti::sim {
namespace {

constexpr int kShownRanks = 64;
constexpr int kShownLinks = 40;
constexpr int kColumns = 160;

/// Names of steps, from plans built once.
class Names {
 public:
  explicit Names(const Workload& workload) : workload_(workload) {}
  const std::string& of(const Trace::Play& play) {
    const Item& item = workload_.items[play.item];
    const int position = item.groups.positionIn(play.rank);
    auto [at, fresh] = names_.try_emplace({play.item, position, play.lane, play.step});
    if (!fresh) return at->second;
    at->second = item.name;
    if (item.computes) return at->second;
    auto plan = algos::buildPlan(item.request, item.algorithm, item.protocol, position, item.limits);
    if (plan.ok() && play.lane < static_cast<int>(plan->lanes.size()))
      at->second = algos::nameOf(plan->lanes[play.lane].steps[play.step]);
    return at->second;
  }

 private:
  const Workload& workload_;
  std::map<std::tuple<int, int, int, int>, std::string> names_;
};

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string timeLine(const Trace& trace, const Workload& workload, TimePs end) {
  constexpr double kWidth = 1200, kRow = 12;
  Names names(workload);
  const int ranks = std::min(workload.nRanks, kShownRanks);
  std::string svg =
      fmt::format("<svg width=\"{}\" height=\"{}\" class=\"t\">", kWidth + 80, ranks * kRow + 20);
  for (int r = 0; r < ranks; ++r)
    svg += fmt::format("<text x=\"0\" y=\"{}\">{}</text>", r * kRow + 10, fmt::format("rank {}", r));
  constexpr const char* kColours[] = {"#4878a8", "#e49444", "#6a9f58", "#d1615d", "#85b6b2", "#a87c9f"};
  size_t drawn = 0;
  for (const Trace::Play& p : trace.plays()) {
    if (p.rank >= ranks) continue;
    if (++drawn > 40'000) break;
    const double x = 70 + kWidth * static_cast<double>(p.begin) / static_cast<double>(end);
    const double w = std::max(0.4, kWidth * static_cast<double>(p.end - p.begin) / static_cast<double>(end));
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"><title>{} {:.2f}–{:.2f} "
        "us</title></rect>",
        x, p.rank * kRow + 2, w, kRow - 3, kColours[static_cast<size_t>(p.item) % std::size(kColours)],
        escaped(names.of(p)), usFromPs(p.begin), usFromPs(p.end));
  }
  return svg + "</svg>";
}

std::string heatMap(const Trace& trace, const Network& network, TimePs end) {
  std::map<uint32_t, std::vector<double>> busy;
  std::map<uint32_t, double> sums;
  const double column = static_cast<double>(end) / kColumns;
  for (const Trace::Transfer& t : trace.transfers()) {
    auto& row = busy[t.link];
    row.resize(kColumns);
    sums[t.link] += static_cast<double>(t.end - t.begin);
    for (int c = std::min(kColumns - 1, static_cast<int>(static_cast<double>(t.begin) / column));
         c < kColumns; ++c) {
      const double from = std::max(static_cast<double>(t.begin), c * column);
      const double to = std::min(static_cast<double>(t.end), (c + 1) * column);
      if (to <= from && c * column > static_cast<double>(t.end)) break;
      row[c] += std::max(0.0, to - from) / column;
    }
  }
  std::vector<std::pair<double, uint32_t>> order;
  for (const auto& [link, sum] : sums) order.emplace_back(-sum, link);
  std::sort(order.begin(), order.end());
  if (order.size() > kShownLinks) order.resize(kShownLinks);
  std::string svg = fmt::format("<svg width=\"1400\" height=\"{}\" class=\"t\">", order.size() * 14 + 4);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& row = busy[order[i].second];
    for (int c = 0; c < kColumns; ++c) {
      if (row[c] < 0.005) continue;
      const double v = std::min(1.0, row[c]);
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"6\" height=\"12\" fill=\"rgb({},{},{})\"><title>{:.0f} "
          "%</title></rect>",
          c * 6, i * 14, static_cast<int>(255 - 40 * v), static_cast<int>(240 - 190 * v),
          static_cast<int>(220 - 190 * v), v * 100);
    }
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{:.0f} % {}</text>", kColumns * 6 + 8, i * 14 + 10,
                       -order[i].first / static_cast<double>(end) * 100,
                       escaped(network.linkName(order[i].second)));
  }
  return svg + "</svg>";
}

}  // namespace

void Trace::play(int rank, int item, int lane, int step, TimePs begin, TimePs end) {
  if (plays_.size() < most_) {
    plays_.push_back({rank, item, lane, step, begin, end});
  } else {
    ++lost_;
  }
}

void Trace::transfer(uint32_t link, int from, int to, uint64_t bytes, TimePs begin, TimePs end) {
  if (transfers_.size() < most_) {
    transfers_.push_back({link, from, to, bytes, begin, end});
  } else {
    ++lost_;
  }
}

std::string traceJson(const Trace& trace, const Workload& workload, const Network& network) {
  Names names(workload);
  auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string out = "{\"otherData\":{\"simulation\":true,\"lost\":" + std::to_string(trace.lost()) +
                    "},\"traceEvents\":[\n";
  out += fmt::format(
      "{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":\"links (simulated)\"}}}}",
      workload.nRanks);
  std::map<int, bool> ranks;
  std::map<uint32_t, bool> links;
  for (const Trace::Play& p : trace.plays()) {
    if (!ranks[p.rank]) {
      ranks[p.rank] = true;
      out += fmt::format(
          ",\n{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":\"rank {} "
          "(simulated)\"}}}}",
          p.rank, p.rank);
    }
    out += fmt::format(
        ",\n{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{:.6f},\"dur\":{:.6f},\"name\":{},\"cat\":{}}}",
        p.rank, p.item * 100 + p.lane + 1, usFromPs(p.begin), usFromPs(p.end - p.begin), quoted(names.of(p)),
        quoted(workload.items[p.item].name));
  }
  for (const Trace::Transfer& t : trace.transfers()) {
    if (!links[t.link]) {
      links[t.link] = true;
      out += fmt::format(
          ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":{}}}}}",
          workload.nRanks, t.link, quoted(network.linkName(t.link)));
    }
    out += fmt::format(
        ",\n{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{:.6f},\"dur\":{:.6f},\"name\":\"{} → "
        "{}\",\"args\":{{\"bytes\":{}}}}}",
        workload.nRanks, t.link, usFromPs(t.begin), usFromPs(t.end - t.begin), t.from, t.to, t.bytes);
  }
  return out + "\n]}\n";
}

std::string tracePage(const Trace& trace, const Workload& workload, const Network& network,
                      const std::string& title, const Report& report) {
  const TimePs end = std::max<TimePs>(1, report.end);
  std::string out =
      "<!doctype html><meta charset=\"utf-8\"><title>" + escaped(title) +
      "</title><style>body{font:14px sans-serif;margin:1.5em}svg.t text{font:9px sans-serif}</style>";
  out += fmt::format("<h1>{}</h1><p><b>A simulation, not a measurement.</b> {}; {:.2f} us.</p>",
                     escaped(title), escaped(network.describe()), usFromPs(report.end));
  if (trace.lost() > 0)
    out += fmt::format("<p>Only the first part is drawn: {} plays and transfers were not kept.</p>",
                       trace.lost());
  out += fmt::format("<h2>Ranks{}</h2>",
                     workload.nRanks > kShownRanks ? fmt::format(" (the first {})", kShownRanks) : "");
  out += timeLine(trace, workload, end);
  out += fmt::format(
      "<h2>Links, the fullest {}</h2><p>Each column is {:.2f} us; right: busy in the whole run.</p>",
      kShownLinks, usFromPs(end) / kColumns);
  return out + heatMap(trace, network, end) + "\n";
}

}  // namespace tutti::sim
