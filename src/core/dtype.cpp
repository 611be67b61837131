#include "core/dtype.hpp"

namespace tutti {
namespace {

constexpr std::string_view kTypeNames[kDataTypeCount] = {"int8",   "uint8",    "int32",  "uint32",
                                                         "int64",  "uint64",   "half",   "float",
                                                         "double", "bfloat16", "f8e4m3", "f8e5m2"};
constexpr std::string_view kOpNames[kReduceOpCount] = {"sum", "prod", "max", "min", "avg", "mulsum"};

}  // namespace

std::string_view nameOf(DataType type) {
  return kTypeNames[static_cast<int>(type)];
}

std::string_view nameOf(ReduceOp op) {
  return kOpNames[static_cast<int>(op)];
}

std::optional<DataType> dataTypeFromName(std::string_view name) {
  for (int i = 0; i < kDataTypeCount; ++i) {
    if (kTypeNames[i] == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

std::optional<ReduceOp> reduceOpFromName(std::string_view name) {
  for (int i = 0; i < kReduceOpCount; ++i) {
    if (kOpNames[i] == name) return static_cast<ReduceOp>(i);
  }
  return std::nullopt;
}

}  // namespace tutti
