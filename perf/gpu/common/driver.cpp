#include "common/driver.hpp"

#include <cuda_runtime_api.h>

#include <string>

#include "common/failure.hpp"

namespace tutti::gpuperf {
namespace {

Driver table;
bool tableLoaded = false;

// The version asked for is the one these headers describe, so the pointer has the type that decltype() says.
template <typename Function>
void lookUp(const char* name, Function* out) {
  void* pointer = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  cudaError_t code =
      cudaGetDriverEntryPointByVersion(name, &pointer, CUDART_VERSION, cudaEnableDefault, &found);
#else
  cudaError_t code = cudaGetDriverEntryPoint(name, &pointer, cudaEnableDefault, &found);
#endif
  if (code != cudaSuccess) (void)cudaGetLastError();
  bool usable = code == cudaSuccess && found == cudaDriverEntryPointSuccess;
  *out = usable ? reinterpret_cast<Function>(pointer) : nullptr;
}

}  // namespace

const Driver* Driver::loaded() {
  return tableLoaded ? &table : nullptr;
}

// #name keeps the plain name while decltype(&name) in the header has followed the _v2 macros of cuda.h: both
// are wanted.
#define TUTTI_LOOK_UP(name, member) lookUp(#name, &table.member)

const Driver& Driver::get() {
  if (tableLoaded) return table;
  GPU_CALL(cudaFree(nullptr));
  TUTTI_LOOK_UP(cuGetErrorName, getErrorName);
  TUTTI_LOOK_UP(cuDeviceGet, deviceGet);
  TUTTI_LOOK_UP(cuDeviceGetAttribute, deviceGetAttribute);
  TUTTI_LOOK_UP(cuStreamWriteValue32, streamWriteValue32);
  TUTTI_LOOK_UP(cuStreamWaitValue32, streamWaitValue32);
  TUTTI_LOOK_UP(cuMemCreate, memCreate);
  TUTTI_LOOK_UP(cuMemRelease, memRelease);
  TUTTI_LOOK_UP(cuMemGetAllocationGranularity, memGetAllocationGranularity);
  TUTTI_LOOK_UP(cuMemAddressReserve, memAddressReserve);
  TUTTI_LOOK_UP(cuMemAddressFree, memAddressFree);
  TUTTI_LOOK_UP(cuMemMap, memMap);
  TUTTI_LOOK_UP(cuMemUnmap, memUnmap);
  TUTTI_LOOK_UP(cuMemSetAccess, memSetAccess);
  TUTTI_LOOK_UP(cuMemExportToShareableHandle, memExportToShareableHandle);
  TUTTI_LOOK_UP(cuMemImportFromShareableHandle, memImportFromShareableHandle);
  TUTTI_LOOK_UP(cuPointerSetAttribute, pointerSetAttribute);
  TUTTI_LOOK_UP(cuCtxGetCurrent, ctxGetCurrent);
  TUTTI_LOOK_UP(cuCtxSetCurrent, ctxSetCurrent);
  TUTTI_LOOK_UP(cuDeviceGetDevResource, deviceGetDevResource);
  TUTTI_LOOK_UP(cuDevSmResourceSplitByCount, devSmResourceSplitByCount);
  TUTTI_LOOK_UP(cuDevResourceGenerateDesc, devResourceGenerateDesc);
  TUTTI_LOOK_UP(cuGreenCtxCreate, greenCtxCreate);
  TUTTI_LOOK_UP(cuGreenCtxDestroy, greenCtxDestroy);
  TUTTI_LOOK_UP(cuGreenCtxStreamCreate, greenCtxStreamCreate);
  TUTTI_LOOK_UP(cuCtxFromGreenCtx, ctxFromGreenCtx);
  if (table.getErrorName == nullptr || table.deviceGet == nullptr || table.deviceGetAttribute == nullptr)
    throw Failure("the driver gave no entry points: CUDA run time " + std::to_string(CUDART_VERSION) +
                  " may be newer than it");
  tableLoaded = true;
  return table;
}

#undef TUTTI_LOOK_UP

}  // namespace tutti::gpuperf
