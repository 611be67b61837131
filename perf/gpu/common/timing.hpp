#pragma once

#include <chrono>
#include <utility>

#include "common/failure.hpp"
#include "common/gpu.hpp"

namespace tutti::gpuperf {

inline double nowUs() {
  using namespace std::chrono;
  return duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

// Times `work(k)` on the stream, k = 0.. counting on over all calls (so that a caller can walk through its
// memory): one warm-up of `perSample` calls, then `samples` times `perSample` calls between two events.
// Microseconds per call. REQUIRES: work only enqueues on `stream`.
template <typename Work>
Spread timeOnStream(cudaStream_t stream, int samples, int perSample, Work&& work) {
  Event begin, end;
  std::vector<double> us;
  int k = 0;
  for (int i = 0; i < perSample; ++i) work(k++);
  if (cudaError_t code = cudaStreamSynchronize(stream); code != cudaSuccess)
    throw Failure(std::string("warm-up: ") + cudaGetErrorString(code));
  for (int s = 0; s < samples; ++s) {
    GPU_CALL(cudaEventRecord(begin, stream));
    for (int i = 0; i < perSample; ++i) work(k++);
    GPU_CALL(cudaEventRecord(end, stream));
    GPU_CALL(cudaEventSynchronize(end));
    us.push_back(end.usSince(begin) / perSample);
  }
  return spreadOf(std::move(us));
}

// Times `work()` with the host clock, one call per sample after `warmups` calls.
template <typename Work>
Spread timeOnHost(int warmups, int samples, Work&& work) {
  std::vector<double> us;
  for (int i = 0; i < warmups; ++i) work();
  for (int s = 0; s < samples; ++s) {
    double start = nowUs();
    work();
    us.push_back(nowUs() - start);
  }
  return spreadOf(std::move(us));
}

}  // namespace tutti::gpuperf
