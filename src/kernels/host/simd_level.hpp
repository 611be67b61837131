// Which SIMD level the kernels use: what the machine has, and what TUTTI_SIMD asks for.
#pragma once

#include <string_view>

namespace tutti::kernels {

enum class SimdLevel { Scalar, Sse4, Avx2, Avx512 };
inline constexpr int kSimdLevelCount = 4;

/// "scalar", "sse4", "avx2", "avx512": the values of TUTTI_SIMD besides "auto".
std::string_view nameOf(SimdLevel level);

/// The best level that this processor and operating system support and this build contains.
SimdLevel bestSimdLevel();

/// The level in use: bestSimdLevel(), or what TUTTI_SIMD asks for (a level that the machine lacks is lowered
/// to the best one, with a warning). Decided at the first call of the process.
SimdLevel activeSimdLevel();

}  // namespace tutti::kernels
