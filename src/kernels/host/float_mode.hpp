// The floating-point mode of the calling thread. Kernels compute in the default mode (denormals kept, round
// to nearest) whatever the program has chosen for its thread, because all ranks must get the same bits.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tutti::kernels {

#if defined(__x86_64__)
inline constexpr unsigned kModeBits =
    0x8000 | 0x6000 | 0x0040;  // flush to zero, rounding, denormals are zero

inline bool floatModeIsDefault() {
  return (_mm_getcsr() & kModeBits) == 0;
}

/// The default mode for as long as the object lives.
class DefaultFloatMode {
 public:
  DefaultFloatMode() : before_(_mm_getcsr()) {
    _mm_setcsr(before_ & ~kModeBits);
    asm volatile("" ::: "memory");  // no operand is loaded before this, no result stored after the one below
  }
  ~DefaultFloatMode() {
    asm volatile("" ::: "memory");
    _mm_setcsr(before_);
  }
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  unsigned before_;
};
#else
inline bool floatModeIsDefault() {
  return true;
}
class DefaultFloatMode {
 public:
  DefaultFloatMode() {}
};
#endif

}  // namespace tutti::kernels
