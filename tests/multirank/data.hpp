// Test data and a plain serial reference for every collective, independent of the library's own code.
#pragma once

#include <nccl.h>

#include <cstddef>
#include <string>
#include <vector>

namespace data {

size_t sizeOf(ncclDataType_t type);
const char* nameOf(ncclDataType_t type);
bool isFloat(ncclDataType_t type);

/// Writes `value` as element i; REQUIRES that the type holds it exactly.
void put(void* buffer, size_t i, ncclDataType_t type, double value);
double get(const void* buffer, size_t i, ncclDataType_t type);

/// Rank's contribution to element i: small whole numbers, so that sums over up to 16 ranks are exact in every
/// type (for Prod: ones and a two, for the 8-bit floats: mostly zeros).
double input(int rank, size_t i, int n, ncclDataType_t type, int op);
/// The reduction of element i over all ranks. `op` may be ncclAvg; kPreMulSum scales every input by kScalar.
double reduced(size_t i, int n, ncclDataType_t type, int op);
inline constexpr int kPreMulSum = 100;
inline constexpr double kScalar = 2;

/// Largest difference that an Avg may have, relative to the magnitude.
double tolerance(ncclDataType_t type, int op);

/// "" or the first element of [0, count) that is not as `expected(i)` says.
template <typename Expected>
std::string compare(const void* buffer, size_t first, size_t count, ncclDataType_t type, int op,
                    Expected expected) {
  for (size_t i = 0; i < count; ++i) {
    double want = expected(i);
    double have = get(buffer, first + i, type);
    double slack = tolerance(type, op) * (want < 0 ? -want : want);
    if (have >= want - slack && have <= want + slack) continue;
    return "element " + std::to_string(i) + " of " + std::to_string(count) + " is " + std::to_string(have) +
           ", not " + std::to_string(want);
  }
  return "";
}

}  // namespace data
