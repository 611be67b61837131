// The kernels in plain C++: the level Scalar, and the definition that the SIMD levels are tested against.
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/host/float_mode.hpp"
#include "kernels/host/kernel_table.hpp"
#include "kernels/host/scalar_ops.hpp"

namespace tutti::kernels {
namespace {

using scalar::Element;
using scalar::Fold;

// Pointers need no alignment, so every access is a memcpy of one element.
template <typename T>
T loadAt(const void* base, size_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(base) + index * sizeof(T), sizeof(T));
  return value;
}
template <typename T>
void storeAt(void* base, size_t index, T value) {
  std::memcpy(static_cast<char*>(base) + index * sizeof(T), &value, sizeof(T));
}

template <DataType type, ReduceOp op>
void pair(void* dst, const void* a, const void* b, size_t count) {
  const DefaultFloatMode mode;
  using F = Fold<type, op>;
  using S = typename F::Storage;
  for (size_t i = 0; i < count; ++i) {
    storeAt<S>(dst, i, F::store(F::combine(F::load(loadAt<S>(a, i)), F::load(loadAt<S>(b, i)))));
  }
}

template <DataType type, ReduceOp op>
void manyFrom(void* dst, const void* const* srcs, int nSrcs, size_t first, size_t count) {
  const DefaultFloatMode mode;
  using F = Fold<type, op>;
  using S = typename F::Storage;
  for (size_t i = 0; i < count; ++i) {
    auto acc = F::load(loadAt<S>(srcs[0], first + i));
    for (int s = 1; s < nSrcs; ++s) acc = F::combine(acc, F::load(loadAt<S>(srcs[s], first + i)));
    storeAt<S>(dst, i, F::store(acc));
  }
}

template <DataType type, ReduceOp op>
void many(void* dst, const void* const* srcs, int nSrcs, size_t count) {
  if (nSrcs == 1) return copy(dst, srcs[0], count * sizeOf(type));
  manyFrom<type, op>(dst, srcs, nSrcs, 0, count);
}

template <DataType type>
void scale(void* dst, const void* src, size_t count, Factor factor) {
  using E = Element<type>;
  using S = typename E::Storage;
  const DefaultFloatMode mode;
  typename E::Wide wide;
  if constexpr (E::kFloating) {
    wide = static_cast<typename E::Wide>(factor.real);
  } else {
    wide = static_cast<typename E::Wide>(factor.bits);
  }
  for (size_t i = 0; i < count; ++i) {
    storeAt<S>(dst, i, E::narrow(static_cast<typename E::Wide>(E::widen(loadAt<S>(src, i)) * wide)));
  }
}

/// Division of 64-bit numbers by one that stays the same, by multiplication (Granlund and Montgomery 1994,
/// figure 4.1): five times as fast as the processor's.
class Divider {
 public:
  /// REQUIRES divisor >= 2.
  explicit Divider(uint64_t divisor) : shift_(std::bit_width(divisor - 1) - 1) {
    const auto excess = static_cast<Wide>((Wide{2} << shift_) - divisor);
    multiplier_ = static_cast<uint64_t>((excess << 64) / divisor + 1);
  }
  uint64_t operator()(uint64_t x) const {
    const auto high = static_cast<uint64_t>((Wide{multiplier_} * x) >> 64);
    return (high + ((x - high) >> 1)) >> shift_;
  }
  int64_t operator()(int64_t x) const {
    const auto sign = static_cast<uint64_t>(x >> 63);
    return static_cast<int64_t>(((*this)((static_cast<uint64_t>(x) ^ sign) - sign) ^ sign) - sign);
  }

 private:
  __extension__ using Wide = unsigned __int128;
  int shift_;  ///< the divisor's binary logarithm, rounded up, less one
  uint64_t multiplier_;
};

template <DataType type>
void divide(void* dst, size_t count, int divisor) {
  const DefaultFloatMode mode;
  using E = Element<type>;
  using S = typename E::Storage;
  if constexpr (sizeof(S) == 8 && !E::kFloating) {
    if (divisor == 1) return;
    const Divider quotient(static_cast<uint64_t>(divisor));
    for (size_t i = 0; i < count; ++i) storeAt<S>(dst, i, quotient(loadAt<S>(dst, i)));
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const S x = loadAt<S>(dst, i);
    if constexpr (E::kFloating) {
      storeAt<S>(dst, i, E::narrow(E::widen(x) / static_cast<typename E::Wide>(divisor)));
    } else {  // in 64 bits, because the divisor need not fit the type
      storeAt<S>(dst, i, static_cast<S>(static_cast<int64_t>(x) / divisor));
    }
  }
}

template <DataType type, ReduceOp op>
void fillOp(KernelTable& table) {
  const int t = static_cast<int>(type);
  const int o = static_cast<int>(op);
  table.pair[t][o] = pair<type, op>;
  table.pairStreaming[t][o] = pair<type, op>;
  table.many[t][o] = many<type, op>;
  table.manyStreaming[t][o] = many<type, op>;
}

template <DataType type>
void fillType(KernelTable& table) {
  fillOp<type, ReduceOp::Sum>(table);
  fillOp<type, ReduceOp::Prod>(table);
  fillOp<type, ReduceOp::Max>(table);
  fillOp<type, ReduceOp::Min>(table);
  table.scale[static_cast<int>(type)] = scale<type>;
  table.divide[static_cast<int>(type)] = divide<type>;
}

template <int... types>
void fillTypes(KernelTable& table, std::integer_sequence<int, types...>) {
  (fillType<static_cast<DataType>(types)>(table), ...);
}

}  // namespace

void fillScalar(KernelTable& table) {
  fillTypes(table, std::make_integer_sequence<int, kDataTypeCount>{});
  table.copyStreaming = [](void* dst, const void* src, size_t bytes) { copy(dst, src, bytes); };
}

void reduceFloat8From(DataType type, int op, void* dst, const void* const* srcs, int nSrcs, size_t first,
                      size_t count) {
  using Fn = void (*)(void*, const void* const*, int, size_t, size_t);
  static constexpr Fn kFns[2][2] = {
      {manyFrom<DataType::Float8e4m3, ReduceOp::Sum>, manyFrom<DataType::Float8e4m3, ReduceOp::Prod>},
      {manyFrom<DataType::Float8e5m2, ReduceOp::Sum>, manyFrom<DataType::Float8e5m2, ReduceOp::Prod>}};
  kFns[type == DataType::Float8e5m2][op](dst, srcs, nSrcs, first, count);
}

void scaleFloat8(DataType type, void* dst, const void* src, size_t count, Factor factor) {
  if (type == DataType::Float8e4m3) {
    scale<DataType::Float8e4m3>(dst, src, count, factor);
  } else {
    scale<DataType::Float8e5m2>(dst, src, count, factor);
  }
}

}  // namespace tutti::kernels
