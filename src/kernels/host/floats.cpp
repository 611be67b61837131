// Float32 and Float64.
#include <limits>

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/floats.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/host/float_order-inl.h"
#include "kernels/host/simd_loops-inl.h"
#include "kernels/host/wide_float-inl.h"

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

template <typename Lane, int op>
struct FloatKernel : PlainKernel, EachVector<FloatKernel<Lane, op>> {
  using T = Lane;
  using D = hn::ScalableTag<T>;
  using Wide = hn::Vec<D>;
  static constexpr bool kFloating = true;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return hn::BitCast(D(), loadBytes(p)); }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) { return hn::BitCast(ByteTag(), oneNan(wide)); }
  static HWY_INLINE void combine(Wide& wide, Wide other) {
    wide = op == kSum ? hn::Add(wide, other) : hn::Mul(wide, other);
  }
};

template <typename T>
void scale(void* dst, const void* src, size_t count, Factor factor) {
  const hn::ScalableTag<T> d;
  const auto by = hn::Set(d, static_cast<T>(factor.real));
  mapVectors<T>(dst, src, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    const auto product = hn::Mul(hn::BitCast(d, loadBytes(from)), by);
    hn::StoreU(hn::BitCast(ByteTag(), oneNan(product)), ByteTag(), to);
  });
}

template <typename T>
void divide(void* dst, size_t count, int divisor) {
  const hn::ScalableTag<T> d;
  const auto by = hn::Set(d, static_cast<T>(divisor));
  mapVectors<T>(dst, dst, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    const auto quotient = hn::Div(hn::BitCast(d, loadBytes(from)), by);
    hn::StoreU(hn::BitCast(ByteTag(), oneNan(quotient)), ByteTag(), to);
  });
}

template <DataType type, typename T>
void fillType(KernelTable& table) {
  install<FloatKernel<T, kSum>>(table, type, kSum);
  install<FloatKernel<T, kProd>>(table, type, kProd);
  installOrder<type>(table);
  table.scale[static_cast<int>(type)] = scale<T>;
  table.divide[static_cast<int>(type)] = divide<T>;
}

void fillFloats(KernelTable& table) {
  fillType<DataType::Float32, float>(table);
  fillType<DataType::Float64, double>(table);
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::kernels {
void fillFloats(SimdLevel level, KernelTable& table) {
  TUTTI_SIMD_FILL(fillFloats, level, table);
}
}  // namespace tutti::kernels
#endif
