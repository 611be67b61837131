// Float16 and Bfloat16: widened to float, combined there, rounded once.
#include <limits>

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/halves.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/host/float_order-inl.h"
#include "kernels/host/simd_loops-inl.h"
#include "kernels/host/wide_float-inl.h"

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

struct TwoFloats {
  FloatVec v[2];
};

/// One comparison for both: NaN is unordered with everything.
HWY_INLINE bool anyNan(const TwoFloats& wide) {
#if HWY_TARGET == HWY_AVX3
  return _mm512_cmp_ps_mask(wide.v[0].raw, wide.v[1].raw, _CMP_UNORD_Q) != 0;
#elif HWY_TARGET == HWY_AVX2
  return _mm256_movemask_ps(_mm256_cmp_ps(wide.v[0].raw, wide.v[1].raw, _CMP_UNORD_Q)) != 0;
#else
  return _mm_movemask_ps(_mm_cmpunord_ps(wide.v[0].raw, wide.v[1].raw)) != 0;
#endif
}

/// Bfloat16 is the upper half of a float. The odd elements of a vector are already in place, the even ones
/// are shifted. The processors' own conversion instructions are not used: they flush denormals.
struct Bfloat16Format {
  static constexpr int kUnroll = 2;
  static HWY_INLINE TwoFloats widen(const Byte* p) {
    const WordTag d;
    const WordVec bits = hn::BitCast(d, loadBytes(p));
    return {{hn::BitCast(FloatTag(), hn::ShiftLeft<16>(bits)),
             hn::BitCast(FloatTag(), hn::And(bits, hn::Set(d, 0xffff0000u)))}};
  }
  static HWY_INLINE ByteVec narrow(TwoFloats wide) {
    const hn::ScalableTag<uint16_t> d16;
    if (HWY_UNLIKELY(anyNan(wide))) {
      for (FloatVec& v : wide.v) v = oneNan(v);
    }
    const WordVec even = addForRounding<16>(hn::BitCast(WordTag(), wide.v[0]));
    const WordVec odd = addForRounding<16>(hn::BitCast(WordTag(), wide.v[1]));
    return hn::BitCast(ByteTag(),
                       hn::OddEven(hn::BitCast(d16, odd), hn::BitCast(d16, hn::ShiftRight<16>(even))));
  }
};

#if HWY_TARGET == HWY_AVX3
/// Bfloat16 with the AVX512_BF16 rounding instruction, which flushes denormals: vectors with those take the
/// way above.
struct NativeBfloat16Format {
  static constexpr int kUnroll = 2;
  static HWY_INLINE TwoFloats widen(const Byte* p) { return Bfloat16Format::widen(p); }
  static HWY_INLINE ByteVec narrow(const TwoFloats& wide) {
    constexpr int kNanOrDenormal = 0x01 | 0x80 | 0x20;
    const __mmask16 even = _mm512_fpclass_ps_mask(wide.v[0].raw, kNanOrDenormal);
    const __mmask16 odd = _mm512_fpclass_ps_mask(wide.v[1].raw, kNanOrDenormal);
    if (HWY_UNLIKELY(!_kortestz_mask16_u8(even, odd))) return Bfloat16Format::narrow(wide);
    // All even elements, then all odd ones; in assembly because the target of this file does not include the
    // instruction.
    __m512i apart;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(apart) : "v"(wide.v[1].raw), "v"(wide.v[0].raw));
    alignas(64) static constexpr uint16_t kInterleave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return ByteVec{_mm512_permutexvar_epi16(_mm512_load_si512(kInterleave), apart)};
  }
};
#endif

#if HWY_TARGET != HWY_SSE4
/// Float16 by the F16C instructions. (A processor of level SSE4 lacks them and is served by plain C++.)
struct Float16Format {
  static constexpr int kUnroll = 4;
  static HWY_INLINE TwoFloats widen(const Byte* p) {
#if HWY_TARGET == HWY_AVX3
    const auto* halves = reinterpret_cast<const __m256i_u*>(p);
    return {{FloatVec{_mm512_cvtph_ps(_mm256_loadu_si256(halves))},
             FloatVec{_mm512_cvtph_ps(_mm256_loadu_si256(halves + 1))}}};
#else
    const auto* halves = reinterpret_cast<const __m128i_u*>(p);
    return {{FloatVec{_mm256_cvtph_ps(_mm_loadu_si128(halves))},
             FloatVec{_mm256_cvtph_ps(_mm_loadu_si128(halves + 1))}}};
#endif
  }
#if HWY_TARGET == HWY_AVX3
  // The conversions are the bottleneck (docs/results/kernels-2026-11-21.md): nothing beside them may use
  // their ports, which are also those of additions and comparisons.
  static HWY_INLINE ByteVec narrow(const TwoFloats& wide) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const __m256i low = _mm512_cvtps_ph(oneNan(wide.v[0]).raw, kNearest);
    const __m256i high = _mm512_cvtps_ph(oneNan(wide.v[1]).raw, kNearest);
    return ByteVec{_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
  }
#else
  static HWY_INLINE ByteVec narrow(TwoFloats wide) {
    if (HWY_UNLIKELY(anyNan(wide))) {
      for (FloatVec& v : wide.v) v = oneNan(v);
    }
    const __m128i low = _mm256_cvtps_ph(wide.v[0].raw, _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(wide.v[1].raw, _MM_FROUND_TO_NEAREST_INT);
    return ByteVec{_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)};
  }
#endif
};
#endif

template <class Format, int op>
struct HalfKernel : PlainKernel, EachVector<HalfKernel<Format, op>> {
  using T = uint16_t;
  using Wide = TwoFloats;
  static constexpr bool kFloating = true;
  static constexpr int kUnroll = Format::kUnroll;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return Format::widen(p); }
  static HWY_INLINE ByteVec narrow(const Wide& wide, NoSpecial) { return Format::narrow(wide); }
  static HWY_INLINE void combine(Wide& wide, const Wide& other) {
    for (int i = 0; i < 2; ++i) {
      wide.v[i] = op == kSum ? add(wide.v[i], other.v[i]) : hn::Mul(wide.v[i], other.v[i]);
    }
  }

 private:
  /// As a multiplication by one where that is another unit of the processor, one that the conversions leave
  /// idle.
  static HWY_INLINE FloatVec add(FloatVec a, FloatVec b) {
#if HWY_TARGET == HWY_AVX3
    return hn::MulAdd(a, hn::Set(FloatTag(), 1.0f), b);
#else
    return hn::Add(a, b);
#endif
  }
};

template <class Format>
void scale(void* dst, const void* src, size_t count, Factor factor) {
  const FloatVec by = hn::Set(FloatTag(), static_cast<float>(factor.real));
  mapVectors<uint16_t>(dst, src, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    TwoFloats wide = Format::widen(from);
    for (FloatVec& v : wide.v) v = hn::Mul(v, by);
    hn::StoreU(Format::narrow(wide), ByteTag(), to);
  });
}

template <class Format>
void divide(void* dst, size_t count, int divisor) {
  const FloatVec by = hn::Set(FloatTag(), static_cast<float>(divisor));
  mapVectors<uint16_t>(dst, dst, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    TwoFloats wide = Format::widen(from);
    for (FloatVec& v : wide.v) v = hn::Div(v, by);
    hn::StoreU(Format::narrow(wide), ByteTag(), to);
  });
}

template <class Format, DataType type>
void fillType(KernelTable& table) {
  install<HalfKernel<Format, kSum>>(table, type, kSum);
  install<HalfKernel<Format, kProd>>(table, type, kProd);
  table.scale[static_cast<int>(type)] = scale<Format>;
  table.divide[static_cast<int>(type)] = divide<Format>;
}

void fillHalves(KernelTable& table) {
#if HWY_TARGET == HWY_AVX3
  if (__builtin_cpu_supports("avx512bf16")) {
    fillType<NativeBfloat16Format, DataType::Bfloat16>(table);
  } else {
    fillType<Bfloat16Format, DataType::Bfloat16>(table);
  }
#else
  fillType<Bfloat16Format, DataType::Bfloat16>(table);
#endif
#if HWY_TARGET != HWY_SSE4
  fillType<Float16Format, DataType::Float16>(table);
#endif
  installOrder<DataType::Bfloat16>(table);
  installOrder<DataType::Float16>(table);
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::kernels {
void fillHalves(SimdLevel level, KernelTable& table) {
  TUTTI_SIMD_FILL(fillHalves, level, table);
}
}  // namespace tutti::kernels
#endif
