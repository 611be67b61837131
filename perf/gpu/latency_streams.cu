// cuStreamWaitValue32 and cuStreamWriteValue32: what a CPU thread pays to steer copies and kernels of a
// stream.
#include <functional>

#include "common/driver.hpp"
#include "common/failure.hpp"
#include "common/timing.hpp"
#include "latency_parts.hpp"

namespace tutti::gpuperf {
namespace {

// A wait for any message number is satisfied by this one (the comparison is cyclic).
constexpr uint32_t kReleaseAll = 0x40000000u;

__global__ void nothing() {}

const Driver& driverWithStreamValues() {
  const Driver& driver = Driver::get();
  if (driver.streamWriteValue32 == nullptr || driver.streamWaitValue32 == nullptr)
    throw NotAvailable("this driver has no stream memory operations");
  return driver;
}

void waitValue(cudaStream_t stream, const uint32_t* device, uint32_t v) {
  GPU_DRIVER(Driver::get().streamWaitValue32(stream, reinterpret_cast<CUdeviceptr>(device), v,
                                             CU_STREAM_WAIT_VALUE_GEQ));
}
void writeValue(cudaStream_t stream, const uint32_t* device, uint32_t v) {
  GPU_DRIVER(Driver::get().streamWriteValue32(stream, reinterpret_cast<CUdeviceptr>(device), v, 0));
}

// The stream waits for message i of the CPU, does `between`, and answers i. All rounds are enqueued before
// the first one starts; should anything fail, the flag is opened for all of them, so that no stream stays
// blocked.
void cpuRoundTrip(Row& row, const Options& options, const std::function<void(cudaStream_t)>& between) {
  driverWithStreamValues();
  HostBuffer flags(8192);
  uint32_t* go = flags.host<uint32_t>();
  uint32_t* answered = flags.host<uint32_t>() + 1024;
  uint32_t rounds = options.smoke ? 3 : 100;
  Stream stream;
  std::vector<double> us;
  between(stream);
  stream.sync();
  try {
    for (int s = 0; s < options.samples + 1; ++s) {
      __atomic_store_n(go, 0u, __ATOMIC_RELEASE);
      __atomic_store_n(answered, 0u, __ATOMIC_RELEASE);
      for (uint32_t i = 1; i <= rounds + 1; ++i) {
        waitValue(stream, flags.device<uint32_t>(), i);
        between(stream);
        writeValue(stream, flags.device<uint32_t>() + 1024, i);
      }
      double start = 0, deadline = nowUs() + 2e6;
      for (uint32_t i = 1; i <= rounds + 1; ++i) {
        __atomic_store_n(go, i, __ATOMIC_RELEASE);
        while (__atomic_load_n(answered, __ATOMIC_ACQUIRE) < i)
          if (nowUs() > deadline)
            throw Failure("the stream did not answer message " + std::to_string(i) + " in 2 s");
        if (i == 1) start = nowUs();
      }
      double took = nowUs() - start;
      stream.sync();
      if (s > 0) us.push_back(took / rounds);
    }
  } catch (const Failure&) {
    __atomic_store_n(go, kReleaseAll, __ATOMIC_RELEASE);
    (void)cudaStreamSynchronize(stream);
    throw;
  }
  row.us = spreadOf(us);
  row.iterations = rounds;
}

// Two streams answer each other, with no CPU and no kernel between: per hop.
void streamToStream(Row& row, const Options& options, uint32_t* flags,
                    const std::function<void()>& releaseAll) {
  uint32_t* there = flags;
  uint32_t* back = flags + 1024;
  uint32_t rounds = options.smoke ? 3 : 100;
  Stream a, b;
  Event begin, end;
  std::vector<double> us;
  uint32_t base = 0;
  // Keeps both streams still until everything is enqueued: the calls would be slower than the hops.
  HostBuffer gate(64);
  auto openGate = [&](uint32_t v) { __atomic_store_n(gate.host<uint32_t>(), v, __ATOMIC_RELEASE); };
  try {
    for (int s = 0; s < options.samples + 1; ++s) {
      for (uint32_t i = 1; i <= rounds; ++i) {
        waitValue(b, there, base + i);
        writeValue(b, back, base + i);
      }
      waitValue(a, gate.device<uint32_t>(), s + 1);
      GPU_CALL(cudaEventRecord(begin, a));
      for (uint32_t i = 1; i <= rounds; ++i) {
        writeValue(a, there, base + i);
        waitValue(a, back, base + i);
      }
      GPU_CALL(cudaEventRecord(end, a));
      openGate(s + 1);
      double deadline = nowUs() + 2e6;
      while (cudaEventQuery(end) == cudaErrorNotReady)
        if (nowUs() > deadline) throw Failure("the two streams did not finish in 2 s");
      GPU_CALL(cudaStreamSynchronize(a));
      GPU_CALL(cudaStreamSynchronize(b));
      if (s > 0) us.push_back(end.usSince(begin) / (2.0 * rounds));
      base += rounds;
    }
  } catch (const Failure&) {
    openGate(kReleaseAll);
    releaseAll();
    (void)cudaStreamSynchronize(a);
    (void)cudaStreamSynchronize(b);
    throw;
  }
  row.us = spreadOf(us);
  row.iterations = 2.0 * rounds;
}

}  // namespace

void measureStreamValues(const Options& options, Report& report) {
  report.measure("latency/stream_value/cpu/round_trip",
                 [&](Row& row) { cpuRoundTrip(row, options, [](cudaStream_t) {}); });
  report.measure("latency/stream_value/cpu_kernel/round_trip", [&](Row& row) {
    cpuRoundTrip(row, options, [](cudaStream_t stream) {
      nothing<<<1, 32, 0, stream>>>();
      checkLaunch("nothing");
    });
  });
  report.measure("latency/stream_value/cpu_copy_4_kib/round_trip", [&](Row& row) {
    DeviceBuffer memory(8192);
    cpuRoundTrip(row, options, [&](cudaStream_t stream) {
      GPU_CALL(cudaMemcpyAsync(memory.as(4096), memory.as(), 4096, cudaMemcpyDeviceToDevice, stream));
    });
  });
  report.measure("latency/stream_value/streams_host_flags/hop", [&](Row& row) {
    driverWithStreamValues();
    HostBuffer flags(8192);
    streamToStream(row, options, flags.device<uint32_t>(), [&] {
      __atomic_store_n(flags.host<uint32_t>(), kReleaseAll, __ATOMIC_RELEASE);
      __atomic_store_n(flags.host<uint32_t>() + 1024, kReleaseAll, __ATOMIC_RELEASE);
    });
  });
  report.measure("latency/stream_value/streams_device_flags/hop", [&](Row& row) {
    driverWithStreamValues();
    DeviceBuffer flags(8192);
    HostBuffer open(8);
    open.host<uint32_t>()[0] = kReleaseAll;
    Stream rescue;
    GPU_CALL(cudaMemset(flags.as(), 0, flags.bytes()));
    GPU_CALL(cudaDeviceSynchronize());
    streamToStream(row, options, flags.as<uint32_t>(), [&] {
      for (size_t at : {size_t{0}, size_t{4096}})
        (void)cudaMemcpyAsync(flags.as(at), open.host(), sizeof kReleaseAll, cudaMemcpyHostToDevice, rescue);
      (void)cudaStreamSynchronize(rescue);
    });
  });
}

}  // namespace tutti::gpuperf
