#include "common/failure.hpp"

#include "common/driver.hpp"

namespace tutti::gpuperf {
namespace {

std::string place(const char* file, int line) {
  std::string path(file);
  size_t slash = path.rfind('/');
  return (slash == std::string::npos ? path : path.substr(slash + 1)) + ":" + std::to_string(line);
}

}  // namespace

void checkCuda(cudaError_t code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) return;
  // An error that is not sticky would otherwise be reported again by the next checkLaunch().
  (void)cudaGetLastError();
  throw Failure(std::string(cudaGetErrorName(code)) + " (" + cudaGetErrorString(code) + ") from " + call +
                " at " + place(file, line));
}

void checkDriver(CUresult code, const char* call, const char* file, int line) {
  if (code == CUDA_SUCCESS) return;
  const char* name = nullptr;
  const auto* driver = Driver::loaded();
  if (driver == nullptr || driver->getErrorName(code, &name) != CUDA_SUCCESS) name = nullptr;
  throw Failure(std::string(name != nullptr ? name : "CUresult ") + " (" +
                std::to_string(static_cast<int>(code)) + ") from " + call + " at " + place(file, line));
}

void checkLaunch(const char* kernel) {
  cudaError_t code = cudaGetLastError();
  // A stream query that found work pending leaves NotReady behind; that is no error of this launch.
  if (code == cudaSuccess || code == cudaErrorNotReady) return;
  throw Failure(std::string(cudaGetErrorName(code)) + " (" + cudaGetErrorString(code) + ") launching " +
                kernel);
}

}  // namespace tutti::gpuperf
