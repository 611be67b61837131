// The data of the checks: what every rank puts in, and what must come out, computable for each element alone.
//
// Values depend on (rank, index, seed) and are chosen so that the result does not depend on the order in
// which ranks are combined: integers wrap, and floating values are small whole numbers times a power of two
// whose partial results all fit the type. Only avg of floats over a number of ranks that is no power of two
// rounds; then a bound of the error is the tolerance.
//
// The pattern repeats after a prime number of elements: large buffers are filled and compared at the speed of
// memory, and data that moved by any multiple of a power of two still shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/dtype.hpp"

namespace tutti::perf {

/// What one check is about.
struct Pattern {
  DataType type = DataType::Float32;
  ReduceOp op = ReduceOp::Sum;
  int ranks = 1;
  uint64_t seed = 0;
};

enum class Source {
  Raw,      ///< any bits, of stream `stream`: for collectives that only move data
  Input,    ///< what rank `stream` puts into a reduction
  Reduced,  ///< the result of the reduction over all ranks
};

/// The bits of one element.
uint64_t elementBits(const Pattern& pattern, Source source, int stream, size_t index);

/// How far the element of a reduction's result may be from its expected value; 0: not at all.
double tolerance(const Pattern& pattern, size_t index);

/// The scalar that rank `rank` multiplies with in PreMulSum, in the bits of the type.
uint64_t preMulScalar(const Pattern& pattern, int rank);

/// A run of elements out of one source, ready to be written or compared.
class Stretch {
 public:
  /// Elements first .. first + count - 1 of the source.
  Stretch(const Pattern& pattern, Source source, int stream, size_t first, size_t count);

  void write(void* at) const;

  struct Difference {
    size_t wrong = 0;  ///< how many elements
    size_t first = 0;  ///< the first of them, counted from the start of the run
    uint64_t expected = 0;
    uint64_t got = 0;
  };
  Difference compare(const void* at) const;

 private:
  bool matches(size_t position, uint64_t got) const;

  Pattern pattern_;
  Source source_;
  size_t first_;
  size_t count_;
  size_t elementSize_;
  std::vector<unsigned char> block_;  ///< elements from first_ on: one period, or all if they are fewer
};

}  // namespace tutti::perf
