// Several ranks on one GPU: memory shared between processes, kernels side by side, streams, green contexts,
// MPS.
#include <cstdlib>
#include <filesystem>

#include "common/failure.hpp"
#include "common/timing.hpp"
#include "sharing_parts.hpp"

namespace tutti::gpuperf {
namespace {

bool onPath(const char* program) {
  const char* path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "";
  std::error_code ignored;
  for (size_t at = 0; at <= folders.size();) {
    size_t colon = std::min(folders.find(':', at), folders.size());
    if (std::filesystem::exists(folders.substr(at, colon - at) + "/" + program, ignored)) return true;
    at = colon + 1;
  }
  return false;
}

std::string mpsFact(const GpuFacts& gpu) {
  const char* pipe = std::getenv("CUDA_MPS_PIPE_DIRECTORY");
  std::error_code ignored;
  std::string control = std::string(pipe != nullptr ? pipe : "/tmp/nvidia-mps") + "/control";
  if (gpu.mpsEnabled != 0) return "on: contexts of this device are shared through MPS";
  if (std::filesystem::exists(control, ignored))
    return "a control pipe exists, but this device's contexts are not shared";
  if (onPath("nvidia-cuda-mps-control"))
    return "off; nvidia-cuda-mps-control is installed, so it can be started";
  return "not available: no nvidia-cuda-mps-control";
}

}  // namespace

void syncWithin(cudaStream_t stream, double timeoutS) {
  double deadline = nowUs() + timeoutS * 1e6;
  cudaError_t code;
  while ((code = cudaStreamQuery(stream)) == cudaErrorNotReady)
    if (nowUs() > deadline)
      throw Failure("the stream was still busy after " + std::to_string(timeoutS) + " s");
  GPU_CALL(code);
}

}  // namespace tutti::gpuperf

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options =
      Options::parse(argc, argv, "several ranks on one GPU: shared memory, co-residency, streams, contexts");
  GpuFacts gpu = probeGpu(options);
  Report report(options, "gpu_sharing");
  describe(report, gpu);
  report.fact("sharing/mps", mpsFact(gpu));
  measureSharedMemory(options, gpu, report);
  measureProcessPair(options, gpu, report);
  measureStreamPair(options, gpu, report);
  return report.finish();
}
