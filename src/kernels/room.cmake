# Bit-identical results at every SIMD level need every rounding to happen where it is written: no fused multiply-add.
target_compile_options(tutti_kernels PRIVATE -ffp-contract=off -falign-loops=64 -falign-functions=64)
set_target_properties(tutti_kernels PROPERTIES UNITY_BUILD OFF)  # a file of kernels includes itself once per target
if(TUTTI_SANITIZE)
  # One level that masks its tails and one that does not are enough to find wrong addresses, and vector code has little
  # undefined behaviour to find: this takes minutes off the build.
  target_compile_options(tutti_kernels PRIVATE -fno-sanitize=undefined)
  if(TUTTI_SANITIZE MATCHES thread)
    target_compile_definitions(tutti_kernels PRIVATE HWY_DISABLED_TARGETS=HWY_SSSE3|HWY_SSE4|HWY_AVX3|HWY_AVX3_DL)
  else()
    target_compile_definitions(tutti_kernels PRIVATE HWY_DISABLED_TARGETS=HWY_SSSE3|HWY_SSE4|HWY_AVX3_DL)
  endif()
endif()
