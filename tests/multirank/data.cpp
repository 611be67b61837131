#include "data.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace data {
namespace {

struct Shape {
  const char* name;
  size_t bytes;
  bool isFloat;
  bool isSigned;
  int mantissaBits, bias;  ///< of the narrow floats
};

const Shape& shapeOf(ncclDataType_t type) {
  static const Shape kShapes[] = {{"int8", 1, false, true, 0, 0},      {"uint8", 1, false, false, 0, 0},
                                  {"int32", 4, false, true, 0, 0},     {"uint32", 4, false, false, 0, 0},
                                  {"int64", 8, false, true, 0, 0},     {"uint64", 8, false, false, 0, 0},
                                  {"half", 2, true, true, 10, 15},     {"float", 4, true, true, 23, 127},
                                  {"double", 8, true, true, 52, 1023}, {"bfloat16", 2, true, true, 7, 127},
                                  {"f8e4m3", 1, true, true, 3, 7},     {"f8e5m2", 1, true, true, 2, 15}};
  return kShapes[type];
}

/// Bits of an exactly representable value in a float format.
uint64_t bitsOf(double value, const Shape& shape) {
  const int width = static_cast<int>(shape.bytes * 8);
  uint64_t sign = std::signbit(value) ? uint64_t{1} << (width - 1) : 0;
  if (value == 0) return sign;
  int exponent;
  double fraction = std::frexp(std::fabs(value), &exponent);  // [0.5, 1)
  auto mantissa = static_cast<uint64_t>(std::ldexp(fraction, shape.mantissaBits + 1));
  mantissa &= (uint64_t{1} << shape.mantissaBits) - 1;
  return sign | static_cast<uint64_t>(exponent - 1 + shape.bias) << shape.mantissaBits | mantissa;
}

double valueOf(uint64_t bits, const Shape& shape) {
  const int width = static_cast<int>(shape.bytes * 8);
  const uint64_t mantissa = bits & ((uint64_t{1} << shape.mantissaBits) - 1);
  const int exponent =
      static_cast<int>(bits >> shape.mantissaBits & ((uint64_t{1} << (width - 1 - shape.mantissaBits)) - 1));
  double magnitude = exponent == 0
                         ? std::ldexp(static_cast<double>(mantissa), 1 - shape.bias - shape.mantissaBits)
                         : std::ldexp(1 + std::ldexp(static_cast<double>(mantissa), -shape.mantissaBits),
                                      exponent - shape.bias);
  return (bits >> (width - 1) & 1) != 0 ? -magnitude : magnitude;
}

bool isFloat8(ncclDataType_t type) {
  return type == ncclFloat8e4m3 || type == ncclFloat8e5m2;
}

}  // namespace

size_t sizeOf(ncclDataType_t type) {
  return shapeOf(type).bytes;
}
const char* nameOf(ncclDataType_t type) {
  return shapeOf(type).name;
}
bool isFloat(ncclDataType_t type) {
  return shapeOf(type).isFloat;
}

void put(void* buffer, size_t i, ncclDataType_t type, double value) {
  const Shape& shape = shapeOf(type);
  uint64_t bits = shape.isFloat ? bitsOf(value, shape) : static_cast<uint64_t>(static_cast<int64_t>(value));
  std::memcpy(static_cast<char*>(buffer) + i * shape.bytes, &bits, shape.bytes);
}

double get(const void* buffer, size_t i, ncclDataType_t type) {
  const Shape& shape = shapeOf(type);
  uint64_t bits = 0;
  std::memcpy(&bits, static_cast<const char*>(buffer) + i * shape.bytes, shape.bytes);
  if (shape.isFloat) return valueOf(bits, shape);
  if (!shape.isSigned) return static_cast<double>(bits);
  const int unused = 64 - static_cast<int>(shape.bytes * 8);
  return static_cast<double>(static_cast<int64_t>(bits << unused) >> unused);
}

double input(int rank, size_t i, int n, ncclDataType_t type, int op) {
  if (op == ncclProd) return static_cast<int>(i % n) == rank ? 2 : 1;
  if (op == ncclAvg) return static_cast<double>(1 + i % 3);
  if (op == kPreMulSum || isFloat8(type)) return (i + rank) % 8 == 0 ? 1 : 0;
  double value = static_cast<double>((i * 7 + static_cast<size_t>(rank) * 3) % 5);
  return shapeOf(type).isSigned ? value - 1 : value;
}

double reduced(size_t i, int n, ncclDataType_t type, int op) {
  double result = input(0, i, n, type, op) * (op == kPreMulSum ? kScalar : 1);
  for (int rank = 1; rank < n; ++rank) {
    double value = input(rank, i, n, type, op);
    switch (op) {
      case ncclProd:
        result *= value;
        break;
      case ncclMax:
        result = std::fmax(result, value);
        break;
      case ncclMin:
        result = std::fmin(result, value);
        break;
      case kPreMulSum:
        result += kScalar * value;
        break;
      default:
        result += value;
        break;
    }
  }
  return op == ncclAvg ? result / n : result;
}

double tolerance(ncclDataType_t type, int op) {
  if (op != ncclAvg || !isFloat(type)) return 0;
  switch (type) {
    case ncclFloat8e4m3:
      return 0.5;
    case ncclFloat8e5m2:
      return 0.8;
    case ncclFloat16:
      return 0.01;
    case ncclBfloat16:
      return 0.06;
    default:
      return 1e-5;
  }
}

}  // namespace data
