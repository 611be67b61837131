#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/report.hpp"

namespace tutti::gpuperf {

// Status with which every program ends where there is nothing to measure on.
inline constexpr int kNoGpuStatus = 3;

// What the limits are computed from. Plain data: a forked child reads it and its parent, which must not touch
// CUDA, uses it.
struct GpuFacts {
  char name[256];
  char pciBusId[24];
  int driverVersion;
  int runtimeVersion;
  int major;
  int minor;
  int smCount;
  int clockKHz;
  int memoryClockKHz;
  int memoryBusBits;
  int l2Bytes;
  int sharedBytesPerBlock;  // the largest a kernel can ask for
  int threadsPerSm;
  int copyEngines;
  int hostNumaNode;  // -1: unknown
  int mpsEnabled;
  int pcieGeneration;  // the most the link can do; 0: unknown
  int pcieLanes;
  int pcieAssumed;  // 1: not told by the machine, the usual link of the chip
  uint64_t memoryBytes;

  // Bytes per nanosecond that HBM can move, reads and writes together: 2 transfers a clock times the bus
  // width.
  double hbmGBps() const;
  // One direction of the host link after line coding; 0: unknown.
  double pcieGBps() const;
  // Dense bf16 matrix rate at the highest clock; 0: unknown chip.
  double bf16TFlops() const;
  // Chip name for file names: "NVIDIA H200" -> "h200".
  std::string shortName() const;
};

// Device count without a message of its own; 0 also when there is no driver.
int gpuCount();

// Selects the device; on a machine without GPU prints "no GPU found: nothing measured" and exits with
// kNoGpuStatus.
GpuFacts openGpu(const Options& options);

// The same as openGpu for a process that will fork: looks from a child, so that the caller stays without CUDA
// state.
GpuFacts probeGpu(const Options& options);

void describe(Report& report, const GpuFacts& gpu);

[[noreturn]] void exitWithoutGpu();

// cudaMalloc'd memory. Never managed memory.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  template <typename T = char>
  T* as(size_t byteOffset = 0) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + byteOffset);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Pinned host memory that kernels can address.
class HostBuffer {
 public:
  explicit HostBuffer(size_t bytes, unsigned flags = cudaHostAllocMapped);
  ~HostBuffer();
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  template <typename T = char>
  T* host() const {
    return static_cast<T*>(data_);
  }
  template <typename T = char>
  T* device() const {
    return static_cast<T*>(devicePointer_);
  }

 private:
  void* data_ = nullptr;
  void* devicePointer_ = nullptr;
};

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }
  void sync() const;

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }
  // Microseconds from `start` to this; both must have completed.
  double usSince(const Event& start) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace tutti::gpuperf
