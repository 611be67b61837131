#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace tutti::gpuperf {

// One failed call. Measurements throw it; Report::measure() turns it into an error row and goes on with the
// next one.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown where a machine lacks a feature: no error, but the row says why it is empty.
class NotAvailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void checkCuda(cudaError_t code, const char* call, const char* file, int line);
void checkDriver(CUresult code, const char* call, const char* file, int line);

// Reports what the launch just before it did wrong (bad configuration, no code for this chip).
void checkLaunch(const char* kernel);

}  // namespace tutti::gpuperf

#define GPU_CALL(call) ::tutti::gpuperf::checkCuda((call), #call, __FILE__, __LINE__)
#define GPU_DRIVER(call) ::tutti::gpuperf::checkDriver((call), #call, __FILE__, __LINE__)
