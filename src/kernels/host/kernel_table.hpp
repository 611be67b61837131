// The kernels of one SIMD level, as a table of function pointers. Internal to the room, but for tests and
// benchmarks that compare levels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.hpp"
#include "kernels/host/reduce.hpp"
#include "kernels/host/simd_level.hpp"

namespace tutti::kernels {

/// Sum, Prod, Max, Min: what is left of the operators once Avg and PreMulSum have become Sum.
inline constexpr int kArithmeticOpCount = 4;
constexpr int arithmeticOp(ReduceOp op) {
  return static_cast<int>(op) < kArithmeticOpCount ? static_cast<int>(op) : static_cast<int>(ReduceOp::Sum);
}

/// A factor in the two forms that the kernels take: a double for floating point (exact for every type), bits
/// for integers.
struct Factor {
  double real = 0;
  uint64_t bits = 0;
};

using ScaleFn = void (*)(void* dst, const void* src, size_t count, Factor factor);
using DivideFn = void (*)(void* dst, size_t count, int divisor);
using CopyFn = void (*)(void* dst, const void* src, size_t bytes);

struct KernelTable {
  ReduceFn pair[kDataTypeCount][kArithmeticOpCount];
  ReduceFn pairStreaming[kDataTypeCount][kArithmeticOpCount];
  ReduceManyFn many[kDataTypeCount][kArithmeticOpCount];
  ReduceManyFn manyStreaming[kDataTypeCount][kArithmeticOpCount];
  ScaleFn scale[kDataTypeCount];
  DivideFn divide[kDataTypeCount];  ///< not used for Float16 and Float8, whose Avg is scaled before
  CopyFn copyStreaming;
};

/// The table of `level`. REQUIRES level <= bestSimdLevel().
const KernelTable& kernelTable(SimdLevel level);

/// Fills every entry of the table with plain C++: the level Scalar, and what a SIMD level does not replace.
void fillScalar(KernelTable& table);

/// Replace entries by those of one SIMD level, per group of types; do nothing for a level that this build
/// lacks.
void fillIntegers(SimdLevel level, KernelTable& table);
void fillFloats(SimdLevel level, KernelTable& table);
void fillHalves(SimdLevel level, KernelTable& table);
void fillFloat8s(SimdLevel level, KernelTable& table);

/// Plain C++ for the vectors in which a Float8 SIMD kernel met NaN or infinity. `op` is Sum or Prod; sources
/// are read from element `first` on, dst is written from its start.
void reduceFloat8From(DataType type, int op, void* dst, const void* const* srcs, int nSrcs, size_t first,
                      size_t count);
void scaleFloat8(DataType type, void* dst, const void* src, size_t count, Factor factor);

}  // namespace tutti::kernels
