// Element types and reduction operators: numbers, sizes and names. The numbers are those of nccl.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tutti {

enum class DataType : uint8_t {
  Int8 = 0,
  Uint8 = 1,
  Int32 = 2,
  Uint32 = 3,
  Int64 = 4,
  Uint64 = 5,
  Float16 = 6,
  Float32 = 7,
  Float64 = 8,
  Bfloat16 = 9,
  Float8e4m3 = 10,
  Float8e5m2 = 11,
};
inline constexpr int kDataTypeCount = 12;

/// The five built-in operators, and PreMulSum (each rank's input times its own scalar, then summed).
enum class ReduceOp : uint8_t { Sum = 0, Prod = 1, Max = 2, Min = 3, Avg = 4, PreMulSum = 5 };
inline constexpr int kReduceOpCount = 6;

/// Bytes of one element.
constexpr size_t sizeOf(DataType type) {
  constexpr uint8_t kSizes[kDataTypeCount] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return kSizes[static_cast<int>(type)];
}

/// nccl-tests' names: "int8", "half", "bfloat16", "f8e4m3", ...
std::string_view nameOf(DataType type);
/// "sum", "prod", "max", "min", "avg", "mulsum".
std::string_view nameOf(ReduceOp op);
std::optional<DataType> dataTypeFromName(std::string_view name);
std::optional<ReduceOp> reduceOpFromName(std::string_view name);

}  // namespace tutti
