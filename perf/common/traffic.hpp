// Who sends how much to whom in alltoallv_perf: nccl-tests' distance-weighted pattern, or a matrix from a
// file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace tutti::perf {

class Traffic {
 public:
  /// More for ranks further on: spread 0 is even, 1 proportional to the distance (none to oneself).
  static Traffic generated(double spread);
  /// A square matrix of bytes, [from][to], whitespace-separated, times `scale`. Values are rounded down to 16
  /// bytes.
  static Result<Traffic> matrix(const std::string& text, double scale);
  /// From NCCL_TESTS_ALLTOALLV_SPREAD, _MATRIX_FILE and _MATRIX_SCALE.
  static Result<Traffic> fromEnvironment();

  /// Bytes from one rank to another; `total` is what every rank sends in the generated pattern.
  size_t bytes(int from, int to, int ranks, size_t total) const;
  /// The largest total of any rank, in elements.
  size_t mostSent(int ranks, size_t elementSize, size_t total) const;
  size_t mostReceived(int ranks, size_t elementSize, size_t total) const;

  bool isMatrix() const { return dimension_ > 0; }
  int dimension() const { return dimension_; }
  double spread() const { return spread_; }
  double scale() const { return scale_; }

 private:
  double spread_ = 1;
  double scale_ = 1;
  int dimension_ = 0;           ///< 0: generated
  std::vector<size_t> matrix_;  ///< dimension_ x dimension_
};

}  // namespace tutti::perf
