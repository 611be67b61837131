// Flags between GPU and CPU: the GPU always answers through mapped host memory; the CPU reaches the GPU in
// several ways.
#include <dlfcn.h>

#include <atomic>
#include <functional>

#include "common/channels.cuh"
#include "common/driver.hpp"
#include "common/failure.hpp"
#include "common/timing.hpp"
#include "latency_parts.hpp"

namespace tutti::gpuperf {
namespace {

constexpr uint64_t kBoundNs = 2000000000ull;

__global__ void pingPongWithCpu(uint32_t* toCpu, uint32_t* fromCpu, uint32_t rounds, PingPongResult* result) {
  pingPong(ReleaseAcquireSys{toCpu}, ReleaseAcquireSys{fromCpu}, true, rounds, kBoundNs, result);
}

// Plays the CPU's side of one kernel; `answer(i)` makes i appear at fromCpu, seen by the device.
void playWithCpu(Row& row, const Options& options, uint32_t rounds, uint32_t* fromCpu,
                 const std::function<void(uint32_t)>& reset, const std::function<void(uint32_t)>& answer) {
  HostBuffer toCpu(4096);
  DeviceBuffer result(sizeof(PingPongResult));
  Stream stream;
  std::vector<double> us;
  for (int s = 0; s < options.samples + 1; ++s) {
    auto* flag = toCpu.host<uint32_t>();
    __atomic_store_n(flag, 0u, __ATOMIC_RELEASE);
    reset(0);
    GPU_CALL(cudaMemsetAsync(result.as(), 0, result.bytes(), stream));
    stream.sync();
    pingPongWithCpu<<<1, 1, 0, stream>>>(toCpu.device<uint32_t>(), fromCpu, rounds,
                                         result.as<PingPongResult>());
    checkLaunch("pingPongWithCpu");
    double deadline = nowUs() + 2e6;
    bool late = false;
    for (uint32_t i = 1; i <= rounds + 1 && !late; ++i) {
      while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) < i && !(late = nowUs() > deadline)) {
      }
      if (!late) answer(i);
    }
    PingPongResult side;
    GPU_CALL(cudaMemcpyAsync(&side, result.as(), sizeof side, cudaMemcpyDeviceToHost, stream));
    stream.sync();
    if (late || side.rounds != rounds)
      throw Failure("only " + std::to_string(side.rounds) + " of " + std::to_string(rounds) +
                    " rounds in 2 s");
    if (s > 0) us.push_back(side.ns / 1e3 / rounds);
  }
  row.us = spreadOf(us);
  row.iterations = rounds;
}

// GDRCopy's library, opened at run time: a CPU mapping of device memory through the PCIe BAR.
class GdrMapping {
 public:
  explicit GdrMapping(void* device) {
    library_ = dlopen("libgdrapi.so.2", RTLD_NOW);
    if (library_ == nullptr) library_ = dlopen("libgdrapi.so", RTLD_NOW);
    if (library_ == nullptr) throw NotAvailable("no libgdrapi: the CPU cannot store to device memory");
    auto open = symbol<void* (*)()>("gdr_open");
    auto pin = symbol<int (*)(void*, unsigned long, size_t, uint64_t, uint32_t, Handle*)>("gdr_pin_buffer");
    auto map = symbol<int (*)(void*, Handle, void**, size_t)>("gdr_map");
    unmap_ = symbol<int (*)(void*, Handle, void*, size_t)>("gdr_unmap");
    unpin_ = symbol<int (*)(void*, Handle)>("gdr_unpin_buffer");
    close_ = symbol<int (*)(void*)>("gdr_close");
    gdr_ = open();
    if (gdr_ == nullptr) throw NotAvailable("libgdrapi is there, but the gdrdrv kernel module is not");
    if (pin(gdr_, reinterpret_cast<unsigned long>(device), kBytes, 0, 0, &handle_) != 0)
      throw NotAvailable("gdr_pin_buffer failed");
    pinned_ = true;
    if (map(gdr_, handle_, &mapped_, kBytes) != 0) throw NotAvailable("gdr_map failed");
  }
  ~GdrMapping() {
    if (mapped_ != nullptr) unmap_(gdr_, handle_, mapped_, kBytes);
    if (pinned_) unpin_(gdr_, handle_);
    if (gdr_ != nullptr) close_(gdr_);
  }
  GdrMapping(const GdrMapping&) = delete;
  GdrMapping& operator=(const GdrMapping&) = delete;

  // The mapping is write-combined: the fence pushes the store out.
  void store(uint32_t v) {
    *static_cast<volatile uint32_t*>(mapped_) = v;
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }

  static constexpr size_t kBytes = 65536;  // a GPU page; device memory must be aligned to it

 private:
  struct Handle {
    unsigned long value = 0;
  };
  template <typename Function>
  Function symbol(const char* name) {
    void* found = dlsym(library_, name);
    if (found == nullptr) throw NotAvailable(std::string("libgdrapi lacks ") + name);
    return reinterpret_cast<Function>(found);
  }

  void* library_ = nullptr;
  void* gdr_ = nullptr;
  Handle handle_;
  bool pinned_ = false;
  void* mapped_ = nullptr;
  int (*unmap_)(void*, Handle, void*, size_t) = nullptr;
  int (*unpin_)(void*, Handle) = nullptr;
  int (*close_)(void*) = nullptr;
};

}  // namespace

void measureFlagsWithCpu(const Options& options, Report& report) {
  uint32_t rounds = options.smoke ? 5 : 2000;
  report.measure("latency/gpu_cpu/mapped_host/round_trip", [&](Row& row) {
    HostBuffer flag(4096);
    auto store = [&](uint32_t v) { __atomic_store_n(flag.host<uint32_t>(), v, __ATOMIC_RELEASE); };
    playWithCpu(row, options, rounds, flag.device<uint32_t>(), store, store);
  });
  report.measure("latency/gpu_cpu/bar_by_gdrcopy/round_trip", [&](Row& row) {
    DeviceBuffer memory(2 * GdrMapping::kBytes);
    auto address = reinterpret_cast<uintptr_t>(memory.as());
    size_t skip = (GdrMapping::kBytes - address % GdrMapping::kBytes) % GdrMapping::kBytes;
    GdrMapping mapping(memory.as(skip));
    auto store = [&](uint32_t v) { mapping.store(v); };
    playWithCpu(row, options, rounds, memory.as<uint32_t>(skip), store, store);
  });
  // The kernel polls device memory; the CPU has a stream do the write.
  uint32_t fewer = options.smoke ? 3 : 300;
  report.measure("latency/gpu_cpu/stream_write_value/round_trip", [&](Row& row) {
    const Driver& driver = Driver::get();
    if (driver.streamWriteValue32 == nullptr) throw NotAvailable("this driver has no cuStreamWriteValue32");
    DeviceBuffer flag(4096);
    Stream writes;
    auto enqueue = [&](uint32_t v) {
      GPU_DRIVER(driver.streamWriteValue32(writes, reinterpret_cast<CUdeviceptr>(flag.as()), v, 0));
    };
    playWithCpu(
        row, options, fewer, flag.as<uint32_t>(),
        [&](uint32_t v) {
          enqueue(v);
          writes.sync();
        },
        enqueue);
  });
  report.measure("latency/gpu_cpu/memcpy_async_4_byte/round_trip", [&](Row& row) {
    DeviceBuffer flag(4096);
    HostBuffer values((fewer + 2) * sizeof(uint32_t));
    for (uint32_t i = 0; i < fewer + 2; ++i) values.host<uint32_t>()[i] = i;
    Stream writes;
    auto enqueue = [&](uint32_t v) {
      GPU_CALL(
          cudaMemcpyAsync(flag.as(), values.host<uint32_t>() + v, sizeof v, cudaMemcpyHostToDevice, writes));
    };
    playWithCpu(
        row, options, fewer, flag.as<uint32_t>(),
        [&](uint32_t v) {
          enqueue(v);
          writes.sync();
        },
        enqueue);
  });
}

}  // namespace tutti::gpuperf
