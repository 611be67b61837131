// Flags from SM to SM through L2, in every protocol the engine may choose, beside the bare latency of an L2
// load.
#include <algorithm>

#include "common/channels.cuh"
#include "common/failure.hpp"
#include "common/timing.hpp"
#include "latency_parts.hpp"

namespace tutti::gpuperf {
namespace {

constexpr size_t kSlotWords = 1024;  // 4 KiB between the two directions
constexpr uint64_t kBoundNs = 1000000000ull;

// Block 0 plays with block `partner`; the others leave at once. The host gives every block an SM of its own.
template <typename Channel>
__global__ void __launch_bounds__(32)
    pingPongOfBlocks(uint32_t* slots, int partner, uint32_t rounds, PingPongResult* results) {
  bool starts = blockIdx.x == 0;
  if (!starts && static_cast<int>(blockIdx.x) != partner) return;
  Channel there{slots};
  Channel back{slots + kSlotWords};
  if (starts)
    pingPong(there, back, true, rounds, kBoundNs, results);
  else
    pingPong(back, there, false, rounds, kBoundNs, results + 1);
}

// Loads of which each needs the one before for its address: the memory holds zeros.
__global__ void chaseZeros(const uint32_t* p, uint32_t loads, bool system, uint64_t* ns, uint32_t* sum) {
  uint32_t v = 0;
  v += loadRelaxedGpu(p);
  uint64_t begin = globalTimerNs();
  if (system) {
    for (uint32_t i = 0; i < loads; ++i)
      asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p + v) : "memory");
  } else {
    for (uint32_t i = 0; i < loads; ++i) v = loadRelaxedGpu(p + v);
  }
  // Never true, but deciding it takes the last load's result; and it keeps the loads alive.
  if (v != 0) *sum = v;
  *ns = globalTimerNs() - begin;
}

template <typename Channel>
void measureChannel(const Options& options, const GpuFacts& gpu, Report& report) {
  report.measure(std::string("latency/sm_to_sm/") + Channel::kName + "/one_way", [&](Row& row) {
    DeviceBuffer slots(2 * kSlotWords * sizeof(uint32_t));
    DeviceBuffer results(2 * sizeof(PingPongResult));
    auto kernel = pingPongOfBlocks<Channel>;
    int shared = gpu.sharedBytesPerBlock * 3 / 4;
    GPU_CALL(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    uint32_t rounds = options.smoke ? 10 : options.quick ? 1000 : 4000;
    Stream stream;
    std::vector<double> us;
    double torn = 0;
    int partners = options.smoke ? 1 : std::min(gpu.smCount - 1, options.quick ? 8 : 24);
    // One pairing twice at first: the first launch loads the kernel.
    for (int p = -1; p < partners; ++p) {
      int partner = 1 + std::max(p, 0) * (gpu.smCount - 1) / partners;
      GPU_CALL(cudaMemsetAsync(slots.as(), 0, slots.bytes(), stream));
      GPU_CALL(cudaMemsetAsync(results.as(), 0, results.bytes(), stream));
      kernel<<<gpu.smCount, Channel::kThreads, shared, stream>>>(slots.as<uint32_t>(), partner, rounds,
                                                                 results.as<PingPongResult>());
      checkLaunch(Channel::kName);
      PingPongResult side[2];
      GPU_CALL(cudaMemcpyAsync(side, results.as(), sizeof side, cudaMemcpyDeviceToHost, stream));
      stream.sync();
      if (side[0].done == 0 || side[0].rounds != rounds)
        throw Failure("only " + std::to_string(side[0].rounds) + " of " + std::to_string(rounds) +
                      " rounds within the time bound: the two blocks did not run together");
      if (side[0].sm == side[1].sm) throw Failure("both blocks ran on SM " + std::to_string(side[0].sm));
      torn += side[0].torn + side[1].torn;
      if (p >= 0) us.push_back(side[0].ns / 2e3 / rounds);
    }
    row.us = spreadOf(us);
    row.iterations = rounds;
    row.counter("one_way_ns", row.us.median * 1e3);
    row.counter("torn", torn);
    row.counter("pairs", partners);
    if (torn != 0) row.label = "TORN: some threads saw the flag before its data";
  });
}

void measureLoad(const Options& options, Report& report, bool fromHost) {
  report.measure(fromHost ? "latency/load/mapped_host" : "latency/load/l2", [&](Row& row) {
    DeviceBuffer result(2 * sizeof(uint64_t));
    DeviceBuffer deviceZeros(4096);
    HostBuffer hostZeros(4096);
    GPU_CALL(cudaMemset(deviceZeros.as(), 0, deviceZeros.bytes()));
    GPU_CALL(cudaDeviceSynchronize());
    const uint32_t* zeros = fromHost ? hostZeros.device<uint32_t>() : deviceZeros.as<uint32_t>();
    uint32_t loads = options.smoke ? 10 : 2000;
    Stream stream;
    std::vector<double> us;
    for (int s = 0; s < options.samples + 1; ++s) {
      chaseZeros<<<1, 1, 0, stream>>>(zeros, loads, fromHost, result.as<uint64_t>(), result.as<uint32_t>(8));
      checkLaunch("chaseZeros");
      uint64_t ns = 0;
      GPU_CALL(cudaMemcpyAsync(&ns, result.as(), sizeof ns, cudaMemcpyDeviceToHost, stream));
      stream.sync();
      if (s > 0) us.push_back(ns / 1e3 / loads);
    }
    row.us = spreadOf(us);
    row.iterations = loads;
    row.counter("load_ns", row.us.median * 1e3);
  });
}

}  // namespace

void measureFlagsBetweenSms(const Options& options, const GpuFacts& gpu, Report& report) {
  measureLoad(options, report, false);
  measureLoad(options, report, true);
  measureChannel<RelaxedGpu>(options, gpu, report);
  measureChannel<ReleaseAcquireGpu>(options, gpu, report);
  measureChannel<ReleaseAcquireSys>(options, gpu, report);
  measureChannel<LL8>(options, gpu, report);
  measureChannel<LL128<1>>(options, gpu, report);
  measureChannel<LL128<4>>(options, gpu, report);
  measureChannel<DataThenFlag>(options, gpu, report);
}

}  // namespace tutti::gpuperf
