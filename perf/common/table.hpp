// The table of nccl-tests: header, rows and footer as text. Pure: what to print, never printing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"
#include "statistics.hpp"

namespace tutti::perf {

/// One line of "Using devices".
struct RankInfo {
  int rank = 0;
  int group = 0;
  int pid = 0;
  std::string host;
  int device = 0;
  std::string description;  ///< the CPU
};

/// Times and bandwidths of one direction of a row.
struct Measurement {
  double microseconds = 0;
  double algorithmGBps = 0;
  double busGBps = 0;
  std::optional<int64_t> wrong;                     ///< none: not checked
  std::optional<Statistics> perIteration;           ///< with -I; in seconds
  std::vector<double> iterationSeconds;             ///< with -I; the slowest process of each iteration
  std::vector<std::vector<double>> processSeconds;  ///< with -I and several processes
};

struct Row {
  size_t bytes = 0;
  size_t count = 0;
  std::string type;
  std::string op;
  int root = -1;
  std::optional<Measurement> outOfPlace;
  std::optional<Measurement> inPlace;  ///< none: the call has no in-place form
  std::string timeStamp;               ///< with -S
};

struct Versions {
  int headers = 0;
  int library = 0;
  int own = -1;  ///< tuttiGetVersion, -1: another library
};

/// `value` in `width` characters, with as many digits as fit and are worth it.
std::string fitted(double value, int width);

std::string headerText(const Options& options, const Versions& versions, std::string_view program);
std::string deviceLine(const RankInfo& info);
std::string columnsText(const Options& options);
std::string rowText(const Options& options, const Row& row);
/// `wrongRows`: rows with wrong values; `minBandwidth`: what NCCL_TESTS_MIN_BW wants, none if not set.
std::string footerText(int wrongRows, double bandwidth, std::optional<double> minBandwidth,
                       std::string_view program);
/// "1.5 MB", as nccl-tests writes memory.
std::string memoryText(int64_t bytes);
/// "512 B", "4 KiB", "128 MiB": for our own lines.
std::string sizeText(size_t bytes);

/// A bandwidth below nine tenths of what is wanted fails.
inline bool enough(double bandwidth, std::optional<double> minBandwidth) {
  return !minBandwidth || bandwidth >= *minBandwidth * 0.9;
}

}  // namespace tutti::perf
