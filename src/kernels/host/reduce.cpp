#include "kernels/host/reduce.hpp"

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/narrow_float.hpp"

namespace tutti::kernels {
namespace {

const KernelTable& active() {
  static const KernelTable& table = kernelTable(activeSimdLevel());
  return table;
}

constexpr int index(DataType type) {
  return static_cast<int>(type);
}

template <typename T>
T firstAs(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

Factor factorOf(const Reduction& reduction) {
  const uint64_t bits = reduction.scalarBits;
  if (reduction.op == ReduceOp::Avg) return {1.0 / reduction.nRanks, 0};
  switch (reduction.type) {
    case DataType::Float16:
      return {floatFromFloat16(firstAs<uint16_t>(bits)), bits};
    case DataType::Bfloat16:
      return {floatFromBfloat16(firstAs<uint16_t>(bits)), bits};
    case DataType::Float32:
      return {firstAs<float>(bits), bits};
    case DataType::Float64:
      return {firstAs<double>(bits), bits};
    case DataType::Float8e4m3:
      return {floatFromFloat8e4m3(firstAs<uint8_t>(bits)), bits};
    case DataType::Float8e5m2:
      return {floatFromFloat8e5m2(firstAs<uint8_t>(bits)), bits};
    default:
      return {0, bits};
  }
}

}  // namespace

ReduceFn resolve2(DataType type, ReduceOp op) {
  return active().pair[index(type)][arithmeticOp(op)];
}

ReduceFn resolve2Streaming(DataType type, ReduceOp op) {
  return active().pairStreaming[index(type)][arithmeticOp(op)];
}

ReduceManyFn resolveManyStreaming(DataType type, ReduceOp op) {
  return active().manyStreaming[index(type)][arithmeticOp(op)];
}

ReduceManyFn resolveMany(DataType type, ReduceOp op) {
  return active().many[index(type)][arithmeticOp(op)];
}

void reduce2(const Reduction& reduction, void* dst, const void* a, const void* b, size_t count) {
  resolve2(reduction.type, reduction.op)(dst, a, b, count);
}

void reduce2Streaming(const Reduction& reduction, void* dst, const void* a, const void* b, size_t count) {
  resolve2Streaming(reduction.type, reduction.op)(dst, a, b, count);
}

void reduceMany(const Reduction& reduction, void* dst, const void* const* srcs, int nSrcs, size_t count) {
  resolveMany(reduction.type, reduction.op)(dst, srcs, nSrcs, count);
}

void reduceManyStreaming(const Reduction& reduction, void* dst, const void* const* srcs, int nSrcs,
                         size_t count) {
  resolveManyStreaming(reduction.type, reduction.op)(dst, srcs, nSrcs, count);
}

void preScale(const Reduction& reduction, void* dst, const void* src, size_t count) {
  if (!needsPreScale(reduction)) return copy(dst, src, count * sizeOf(reduction.type));
  active().scale[index(reduction.type)](dst, src, count, factorOf(reduction));
}

void finish(const Reduction& reduction, void* dst, size_t count) {
  if (needsFinish(reduction)) active().divide[index(reduction.type)](dst, count, reduction.nRanks);
}

void copyStreaming(void* dst, const void* src, size_t bytes) {
  active().copyStreaming(dst, src, bytes);
}

}  // namespace tutti::kernels
