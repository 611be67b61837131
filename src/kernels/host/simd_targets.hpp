// Which Highway targets this room compiles, and its own dispatch among them. Include before foreach_target.h.
//
// Highway's run-time dispatch lives in libhwy.so; the room has a table of function pointers of its own
// instead (kernel_table.hpp), so that the library needs nothing at run time.
#pragma once

#include "kernels/host/simd_level.hpp"

// The baseline target of the compiler (HWY_EMU128 on plain x86-64) is left to the plain C++ of level Scalar.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#endif

#include "hwy/detect_targets.h"

// Calls N_<target>::function(table) of the level's target, where this build has it.
#if HWY_TARGETS & HWY_SSE4
#define TUTTI_SIMD_FILL_SSE4(function, level, table) \
  if ((level) == SimdLevel::Sse4) N_SSE4::function(table)
#else
#define TUTTI_SIMD_FILL_SSE4(function, level, table) static_cast<void>(level)
#endif
#if HWY_TARGETS & HWY_AVX2
#define TUTTI_SIMD_FILL_AVX2(function, level, table) \
  if ((level) == SimdLevel::Avx2) N_AVX2::function(table)
#else
#define TUTTI_SIMD_FILL_AVX2(function, level, table) static_cast<void>(level)
#endif
#if HWY_TARGETS & HWY_AVX3
#define TUTTI_SIMD_FILL_AVX512(function, level, table) \
  if ((level) == SimdLevel::Avx512) N_AVX3::function(table)
#else
#define TUTTI_SIMD_FILL_AVX512(function, level, table) static_cast<void>(level)
#endif
#define TUTTI_SIMD_FILL(function, level, table) \
  TUTTI_SIMD_FILL_SSE4(function, level, table); \
  TUTTI_SIMD_FILL_AVX2(function, level, table); \
  TUTTI_SIMD_FILL_AVX512(function, level, table)
