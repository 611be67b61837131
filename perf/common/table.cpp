#include "table.hpp"

#include <cmath>

namespace tutti::perf {
namespace {

constexpr const char* kTimeFormat = "%Y-%m-%d %H:%M:%S";

/// One line of column titles: the five on the left, then both directions.
std::string titles(const Options& options, std::string_view size, std::string_view count,
                   std::string_view type, std::string_view op, std::string_view root,
                   const std::vector<std::string_view>& direction, std::string_view stamp) {
  std::string line = fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}", size, count, type, op, root);
  for (int side = 0; side < 2; ++side) {
    for (size_t i = 0; i < direction.size(); ++i) {
      line += fmt::format("  {:>{}}", direction[i], i >= 1 && i <= 3 ? 6 : 7);
    }
  }
  return line + fmt::format(" {:>{}}\n", stamp, options.timestamps ? 20 : 0);
}

std::string measurementText(const Options& options, const std::optional<Measurement>& measured) {
  if (!measured) {
    std::string text = fmt::format("  {:>7}  {:>6}  {:>6}  {:>6}", "N/A", "N/A", "N/A", "N/A");
    if (options.perIteration) {
      for (int i = 0; i < 4; ++i) text += fmt::format("  {:>7}", "N/A");
    }
    return text;
  }
  std::string text =
      fmt::format("  {}  {}  {}  {:>6}", fitted(measured->microseconds, 7),
                  fitted(measured->algorithmGBps, 6), fitted(measured->busGBps, 6),
                  measured->wrong ? fmt::format("{:g}", static_cast<double>(*measured->wrong)) : "N/A");
  if (options.perIteration && measured->perIteration) {
    const Statistics& statistics = *measured->perIteration;
    for (double value :
         {statistics.min * 1e6, statistics.max * 1e6, statistics.p99 * 1e6, statistics.variationPercent()}) {
      text += "  " + fitted(value, 7);
    }
  }
  return text;
}

}  // namespace

std::string fitted(double value, int width) {
  // Host memory has calls of a tenth of a microsecond: nccl-tests' two decimals would leave one digit of
  // them.
  double magnitude = std::fabs(value);
  int wanted = magnitude == 0 ? 2 : magnitude < 1 ? 4 : magnitude < 10 ? 3 : 2;
  for (int decimals = wanted; decimals >= 0; --decimals) {
    std::string text = fmt::format("{:>{}.{}f}", value, width, decimals);
    if (text.size() <= static_cast<size_t>(width)) return text;
  }
  return fmt::format("{:>{}.{}e}", value, width, width >= 7 ? 1 : 0);
}

std::string headerText(const Options& options, const Versions& versions, std::string_view program) {
  std::string own = versions.own < 0 ? "Tutti's programs, another library"
                                     : fmt::format("Tutti {}.{}.{}", versions.own / 10000,
                                                   versions.own / 100 % 100, versions.own % 100);
  std::string text =
      fmt::format("# nccl-tests version 2.19 compatible ({}) nccl-headers={} nccl-library={}\n", own,
                  versions.headers, versions.library);
  bool factor = options.stepFactor > 1;
  text += fmt::format(
      "# Collective test starting: {}\n"
      "# nThread {} nGpus {} minBytes {} maxBytes {} step: {}({}) warmup iters: {} iters: {} agg iters: {} "
      "validation: {} graph: 0 unalign: {}\n",
      program, options.threads, options.ranksPerThread, options.minBytes, options.maxBytes,
      factor ? options.stepFactor : options.stepBytes, factor ? "factor" : "bytes", options.warmups,
      options.timedIterations(), options.aggregated, options.checks, options.unalign);
  if (options.blocking == 1) text += "# Blocking: wait and barrier after each inner iteration (-m)\n";
  if (options.blocking == 2) text += "# Blocking: wait after each inner iteration (-m), no barrier\n";
  if (options.blocking == 3) {
    text += "# Blocking: wait and barrier after each outer iteration (-n); the time excludes the barrier\n";
  }
  if (options.perIteration) {
    text += "# Per-iteration times: host clock; i_* of the slowest process";
    if (options.perIterationSkip > 0) text += fmt::format(", without the first {}", options.perIterationSkip);
    text += '\n';
  }
  if (options.parallelInit) text += "# Parallel init: threads create their communicators at the same time\n";
  text += fmt::format("# Buffers: {}, {}; {}\n",
                      options.registration == 0   ? "malloc"
                      : options.registration == 1 ? "malloc, ncclCommRegister"
                                                  : "ncclMemAlloc, symmetric windows",
                      options.reuse == Reuse::Same   ? "the same in every iteration"
                      : options.reuse == Reuse::Cold ? "rotating through more than the last-level cache"
                                                     : "moving on within maxbytes",
                      options.usesStreams() ? "calls on a host stream per rank" : "calls return when done");
  for (const std::string& note : options.notes) text += fmt::format("# Note: {}\n", note);
  return text + "#\n";
}

std::string deviceLine(const RankInfo& info) {
  return fmt::format("#  Rank {:>2} Group {:>2} Pid {:>6} on {:>10} device {:>2} [host memory] {}\n",
                     info.rank, info.group, info.pid, info.host, info.device, info.description);
}

std::string columnsText(const Options& options) {
  std::vector<std::string_view> names = {options.cpuTime ? "cputime" : "time", "algbw", "busbw", "#wrong"};
  std::vector<std::string_view> units = {"(us)", "(GB/s)", "(GB/s)", ""};
  std::string above = "out-of-place";
  std::string inPlace = "in-place";
  int width = 31;  // of one direction's columns
  if (options.perIteration) {
    names.insert(names.end(), {"i_min", "i_max", "i_p99", "i_cv%"});
    units.insert(units.end(), {"(us)", "(us)", "(us)", "(%)"});
    above += " (+ per-iteration)";
    inPlace += " (+ per-iteration)";
    width += 36;
  }
  std::string text = fmt::format("#\n# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:^{}}  {:^{}}\n", "", "", "", "",
                                 "", above, width, inPlace, width);
  text +=
      titles(options, "size", "count", "type", "redop", "root", names, options.timestamps ? "timestamp" : "");
  text += titles(options, "(B)", "(elements)", "", "", "", units, options.timestamps ? kTimeFormat : "");
  return text;
}

std::string rowText(const Options& options, const Row& row) {
  std::string text =
      fmt::format("{:>12}  {:>12}  {:>8}  {:>6}  {:>6}", row.bytes, row.count, row.type, row.op, row.root);
  text += measurementText(options, row.outOfPlace);
  text += measurementText(options, row.inPlace);
  if (options.timestamps) text += fmt::format("{:>21}", row.timeStamp);
  return text + "\n";
}

std::string footerText(int wrongRows, double bandwidth, std::optional<double> minBandwidth,
                       std::string_view program) {
  const char* judged = !minBandwidth ? "" : enough(bandwidth, minBandwidth) ? "OK" : "FAILED";
  return fmt::format(
      "# {:<20} : {} {}\n"
      "# {:<20} : {:g} {}\n"
      "#\n"
      "# Collective test concluded: {}\n",
      "Out of bounds values", wrongRows, wrongRows > 0 ? "FAILED" : "OK", "Avg bus bandwidth", bandwidth,
      judged, program);
}

std::string memoryText(int64_t bytes) {
  double amount = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* larger : {"KB", "MB", "GB"}) {
    if (std::fabs(amount) < 1024) break;
    amount /= 1024;
    unit = larger;
  }
  int decimals = std::fabs(amount) < 10 ? 2 : std::fabs(amount) < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", amount, decimals, unit);
}

std::string sizeText(size_t bytes) {
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB"}) {
    if (bytes < 1024 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = larger;
  }
  return fmt::format("{} {}", bytes, unit);
}

}  // namespace tutti::perf
