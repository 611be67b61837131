#pragma once

#include <cuda.h>

namespace tutti::gpuperf {

// The driver functions the programs use, looked up through the run-time library, so that nothing links
// libcuda and the programs start (and say "no GPU found") on a machine without a driver. A null member means:
// this driver lacks it.
struct Driver {
  // The table of this process; throws Failure if the driver cannot be reached.
  static const Driver& get();
  // The same, or null before the first successful get().
  static const Driver* loaded();

  decltype(&cuGetErrorName) getErrorName = nullptr;
  decltype(&cuDeviceGet) deviceGet = nullptr;
  decltype(&cuDeviceGetAttribute) deviceGetAttribute = nullptr;
  decltype(&cuStreamWriteValue32) streamWriteValue32 = nullptr;
  decltype(&cuStreamWaitValue32) streamWaitValue32 = nullptr;

  decltype(&cuMemCreate) memCreate = nullptr;
  decltype(&cuMemRelease) memRelease = nullptr;
  decltype(&cuMemGetAllocationGranularity) memGetAllocationGranularity = nullptr;
  decltype(&cuMemAddressReserve) memAddressReserve = nullptr;
  decltype(&cuMemAddressFree) memAddressFree = nullptr;
  decltype(&cuMemMap) memMap = nullptr;
  decltype(&cuMemUnmap) memUnmap = nullptr;
  decltype(&cuMemSetAccess) memSetAccess = nullptr;
  decltype(&cuMemExportToShareableHandle) memExportToShareableHandle = nullptr;
  decltype(&cuMemImportFromShareableHandle) memImportFromShareableHandle = nullptr;

  decltype(&cuPointerSetAttribute) pointerSetAttribute = nullptr;
  decltype(&cuCtxGetCurrent) ctxGetCurrent = nullptr;
  decltype(&cuCtxSetCurrent) ctxSetCurrent = nullptr;

  // Green contexts; null below CUDA 12.4 (streams: 12.5).
  decltype(&cuDeviceGetDevResource) deviceGetDevResource = nullptr;
  decltype(&cuDevSmResourceSplitByCount) devSmResourceSplitByCount = nullptr;
  decltype(&cuDevResourceGenerateDesc) devResourceGenerateDesc = nullptr;
  decltype(&cuGreenCtxCreate) greenCtxCreate = nullptr;
  decltype(&cuGreenCtxDestroy) greenCtxDestroy = nullptr;
  decltype(&cuGreenCtxStreamCreate) greenCtxStreamCreate = nullptr;
  decltype(&cuCtxFromGreenCtx) ctxFromGreenCtx = nullptr;
};

}  // namespace tutti::gpuperf
