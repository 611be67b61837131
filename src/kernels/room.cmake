# Bit-identical results at every SIMD level need every rounding to happen where it is written: no fused multiply-add.
target_compile_options(tutti_kernels PRIVATE -ffp-contract=off -falign-loops=64 -falign-functions=64)
