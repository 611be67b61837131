#include "traffic.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tutti::perf {
namespace {

constexpr size_t kGrain = 16;

size_t rounded(double bytes) {
  return static_cast<size_t>(bytes) / kGrain * kGrain;
}

/// The number that `text` is, all of it.
bool parse(const std::string& text, double& value) {
  char* end = nullptr;
  errno = 0;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && errno == 0 && std::isfinite(value) && value >= 0;
}

Result<double> numberFrom(const char* variable, double otherwise, double most) {
  const char* text = std::getenv(variable);
  if (!text) return otherwise;
  double value = 0;
  if (!parse(text, value) || value > most) {
    return makeError(Code::InvalidArgument, "{} takes a number from 0 to {:g}; got '{}'", variable, most,
                     text);
  }
  return value;
}

}  // namespace

Traffic Traffic::generated(double spread) {
  Traffic traffic;
  traffic.spread_ = spread;
  return traffic;
}

Result<Traffic> Traffic::matrix(const std::string& text, double scale) {
  Traffic traffic;
  traffic.scale_ = scale;
  std::istringstream lines(text);
  std::string line;
  size_t columns = 0;
  size_t rows = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string word;
    size_t count = 0;
    while (words >> word) {
      double value = 0;
      if (!parse(word, value) || value * scale > 9007199254740992.0) {  // 2^53: beyond, a double skips bytes
        return makeError(Code::InvalidArgument,
                         "traffic matrix, row {} column {}: '{}' is not a number of bytes", rows, count,
                         word);
      }
      traffic.matrix_.push_back(rounded(value * scale));
      ++count;
    }
    if (count == 0) continue;
    if (rows == 0) columns = count;
    if (count != columns) {
      return makeError(Code::InvalidArgument, "traffic matrix, row {}: {} columns, but {} before", rows,
                       count, columns);
    }
    ++rows;
  }
  if (rows == 0) return makeError(Code::InvalidArgument, "the traffic matrix is empty");
  if (rows != columns) {
    return makeError(Code::InvalidArgument,
                     "the traffic matrix must be square; it has {} rows and {} columns", rows, columns);
  }
  traffic.dimension_ = static_cast<int>(rows);
  return traffic;
}

Result<Traffic> Traffic::fromEnvironment() {
  TUTTI_ASSIGN(double spread, numberFrom("NCCL_TESTS_ALLTOALLV_SPREAD", 1, 1));
  TUTTI_ASSIGN(double scale, numberFrom("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE", 1, 1e15));
  const char* path = std::getenv("NCCL_TESTS_ALLTOALLV_MATRIX_FILE");
  if (!path) return generated(spread);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!(file && text << file.rdbuf())) {
    return makeError(Code::InvalidArgument, "NCCL_TESTS_ALLTOALLV_MATRIX_FILE: cannot read '{}'", path);
  }
  Result<Traffic> traffic = matrix(text.str(), scale);
  if (!traffic.ok()) return std::move(traffic).error().context(path);
  return traffic;
}

size_t Traffic::bytes(int from, int to, int ranks, size_t total) const {
  if (isMatrix()) return matrix_[static_cast<size_t>(from) * dimension_ + to];
  if (ranks == 1) return total / kGrain * kGrain;
  double distance = (to - from + ranks) % ranks;
  double distances = static_cast<double>(ranks) * (ranks - 1) / 2;
  double even = static_cast<double>(total) / ranks;
  double weighted = distance * static_cast<double>(total) / distances;
  return rounded((1 - spread_) * even + spread_ * weighted);
}

size_t Traffic::mostSent(int ranks, size_t elementSize, size_t total) const {
  size_t most = 0;
  for (int from = 0; from < (isMatrix() ? ranks : 1); ++from) {  // generated: the same for every rank
    size_t sum = 0;
    for (int to = 0; to < ranks; ++to) sum += bytes(from, to, ranks, total) / elementSize;
    most = std::max(most, sum);
  }
  return most;
}

size_t Traffic::mostReceived(int ranks, size_t elementSize, size_t total) const {
  size_t most = 0;
  for (int to = 0; to < (isMatrix() ? ranks : 1); ++to) {
    size_t sum = 0;
    for (int from = 0; from < ranks; ++from) sum += bytes(from, to, ranks, total) / elementSize;
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace tutti::perf
