#include "kernels/host/simd_level.hpp"

#include "core/log.hpp"
#include "core/param.hpp"
#include "kernels/host/kernel_table.hpp"

namespace tutti::kernels {
namespace {

constexpr std::string_view kNames[kSimdLevelCount] = {"scalar", "sse4", "avx2", "avx512"};

// __builtin_cpu_supports also asks whether the operating system saves the wider registers. The features of a
// level are those that Highway compiles its target of that level for.
SimdLevel detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool sse4 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
                    __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") &&
                    __builtin_cpu_supports("aes");
  if (!sse4) return SimdLevel::Scalar;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  // F16C, which the level needs too, is older than AVX2 on every CPU; clang 14 cannot ask for it.
  if (!avx2) return SimdLevel::Sse4;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? SimdLevel::Avx512 : SimdLevel::Avx2;
#else
  return SimdLevel::Scalar;
#endif
}

SimdLevel choose() {
  const SimdLevel best = bestSimdLevel();
  const std::string wanted = params::getString("TUTTI_SIMD");
  for (int level = 0; level < kSimdLevelCount; ++level) {
    if (wanted != kNames[level]) continue;
    if (level > static_cast<int>(best)) {
      TUTTI_WARN("TUTTI_SIMD={}: this machine has {} at most, using that", wanted, nameOf(best));
      return best;
    }
    return static_cast<SimdLevel>(level);
  }
  return best;  // "auto"
}

template <SimdLevel level>
const KernelTable& tableOf() {
  static const KernelTable table = [] {
    KernelTable made{};
    fillScalar(made);
    fillIntegers(level, made);
    fillFloats(level, made);
    fillHalves(level, made);
    fillFloat8s(level, made);
    return made;
  }();
  return table;
}

}  // namespace

std::string_view nameOf(SimdLevel level) {
  return kNames[static_cast<int>(level)];
}

SimdLevel bestSimdLevel() {
  static const SimdLevel best = detect();
  return best;
}

SimdLevel activeSimdLevel() {
  static const SimdLevel active = choose();
  return active;
}

const KernelTable& kernelTable(SimdLevel level) {
  switch (level) {
    case SimdLevel::Sse4:
      return tableOf<SimdLevel::Sse4>();
    case SimdLevel::Avx2:
      return tableOf<SimdLevel::Avx2>();
    case SimdLevel::Avx512:
      return tableOf<SimdLevel::Avx512>();
    default:
      return tableOf<SimdLevel::Scalar>();
  }
}

}  // namespace tutti::kernels
