#include "kernels/host/kernel_table.hpp"
namespace tutti::kernels {
void fillIntegers(SimdLevel, KernelTable&) {}
void fillFloats(SimdLevel, KernelTable&) {}
void fillHalves(SimdLevel, KernelTable&) {}
void fillFloat8s(SimdLevel, KernelTable&) {}
}  // namespace tutti::kernels
