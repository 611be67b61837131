// Kernels of two processes on one GPU: together or in turns, and what each still gets.
#include <algorithm>
#include <cstring>

#include "common/failure.hpp"
#include "common/persistent_copy.hpp"
#include "common/timing.hpp"
#include "sharing_parts.hpp"
#include "spin_kernels.hpp"

namespace tutti::gpuperf {
namespace {

constexpr double kTimeoutS = 20;
constexpr uint64_t kSpinBoundNs = 1500000000ull;
// A round trip of flags takes single microseconds when both kernels run, and whole time slices when they take
// turns.
constexpr double kCoResidentUs = 100;

struct Exchange {
  alignas(4096) uint32_t flags[2048];
  alignas(4096) ChildNote notes[2];
  ProcessBarrier barrier;
  cudaIpcMemHandle_t ipcHandle;
  PingPongResult sides[2];
  double alone[2];  // GB/s of payload
  double beside[2];
  Spread idleUs;
  Spread busyUs;
};

void meet(Exchange& exchange) {
  if (!exchange.barrier.wait(2, kTimeoutS)) throw Failure("the other process did not come");
}

// Both processes launch one side of a ping-pong at about the same time.
void playSide(Exchange& exchange, int rank, uint32_t* flags, uint32_t rounds) {
  Stream stream;
  DeviceBuffer result(sizeof(PingPongResult)), own(8192);
  auto* answer = result.as<PingPongResult>();
  // Loads the kernel: alone on flags of its own, ended by its bound.
  GPU_CALL(cudaMemsetAsync(own.as(), 0, own.bytes(), stream));
  launchFlagSide(stream, own.as<uint32_t>(), false, 1, 1000000, answer);
  GPU_CALL(cudaMemsetAsync(result.as(), 0, result.bytes(), stream));
  stream.sync();
  meet(exchange);
  launchFlagSide(stream, flags, rank == 0, rounds, kSpinBoundNs, answer);
  syncWithin(stream, 10);
  GPU_CALL(
      cudaMemcpyAsync(&exchange.sides[rank], answer, sizeof(PingPongResult), cudaMemcpyDeviceToHost, stream));
  stream.sync();
  meet(exchange);
}

void flagsInHostMemory(Exchange& exchange, int rank, uint32_t rounds) {
  void* device = nullptr;
  GPU_CALL(cudaHostRegister(exchange.flags, sizeof exchange.flags, cudaHostRegisterMapped));
  GPU_CALL(cudaHostGetDevicePointer(&device, exchange.flags, 0));
  playSide(exchange, rank, static_cast<uint32_t*>(device), rounds);
  GPU_CALL(cudaHostUnregister(exchange.flags));
}

void flagsInDeviceMemory(Exchange& exchange, int rank, uint32_t rounds) {
  if (rank == 0) {
    DeviceBuffer flags(2 << 20);
    GPU_CALL(cudaMemset(flags.as(), 0, flags.bytes()));
    GPU_CALL(cudaDeviceSynchronize());
    GPU_CALL(cudaIpcGetMemHandle(&exchange.ipcHandle, flags.as()));
    meet(exchange);
    playSide(exchange, rank, flags.as<uint32_t>(), rounds);
    meet(exchange);  // the guest has closed it
    return;
  }
  meet(exchange);
  void* opened = nullptr;
  GPU_CALL(cudaIpcOpenMemHandle(&opened, exchange.ipcHandle, cudaIpcMemLazyEnablePeerAccess));
  playSide(exchange, rank, static_cast<uint32_t*>(opened), rounds);
  GPU_CALL(cudaIpcCloseMemHandle(opened));
  meet(exchange);
}

void coResidency(const Options& options, Row& row, bool inHostMemory) {
  SharedMemory shared(sizeof(Exchange));
  auto& exchange = *shared.as<Exchange>();
  uint32_t rounds = options.smoke ? 2 : 100;
  std::string trouble = runProcesses(2, 3 * kTimeoutS, exchange.notes, [&](int rank) {
    GPU_CALL(cudaSetDevice(options.device));
    if (inHostMemory)
      flagsInHostMemory(exchange, rank, rounds);
    else
      flagsInDeviceMemory(exchange, rank, rounds);
    return 0;
  });
  if (!trouble.empty()) throw Failure(trouble);
  const PingPongResult& side = exchange.sides[0];
  row.counter("rounds", side.rounds);
  row.counter("first_wait_us", side.firstWaitNs / 1e3);
  if (side.rounds == 0) {
    row.label = "the kernels never met within 1.5 s";
    row.counter("co_resident", 0);
    return;
  }
  double us = side.ns / 1e3 / side.rounds;
  row.us = spreadOf({us});
  row.iterations = side.rounds;
  row.counter("co_resident", us < kCoResidentUs ? 1 : 0);
  row.label = us < kCoResidentUs ? "run together: ranks may spin on each other"
                                 : "take turns: a spinning rank burns its slice";
}

double copyFor(int blocks, uint64_t ns, DeviceBuffer& out, DeviceBuffer& in, DeviceBuffer& state) {
  Stream stream;
  auto* shared = state.as<PersistentCopyState>();
  resetPersistentCopy(stream, shared);
  launchPersistentCopy(stream, blocks, false, out.as(), in.as(), in.bytes() / 16, shared, ns);
  syncWithin(stream, 10);
  PersistentCopyState result;
  GPU_CALL(cudaMemcpyAsync(&result, shared, sizeof result, cudaMemcpyDeviceToHost, stream));
  stream.sync();
  return static_cast<double>(result.bytesCopied) / (result.lastNs - result.firstNs);
}

// Each process copies with `blocks` blocks, first alone, then both at once.
void copyPair(const Options& options, const GpuFacts& gpu, Row& row, int blocks) {
  SharedMemory shared(sizeof(Exchange));
  auto& exchange = *shared.as<Exchange>();
  uint64_t ns = options.smoke ? 1000000 : 200000000;
  size_t bytes = options.smoke ? 8 << 20 : 512 << 20;
  std::string trouble = runProcesses(2, 3 * kTimeoutS, exchange.notes, [&](int rank) {
    GPU_CALL(cudaSetDevice(options.device));
    DeviceBuffer out(bytes), in(bytes), state(sizeof(PersistentCopyState));
    GPU_CALL(cudaMemset(in.as(), 1, bytes));
    copyFor(blocks, 1000000, out, in, state);
    for (int turn = 0; turn < 2; ++turn) {
      meet(exchange);
      if (turn == rank) exchange.alone[rank] = copyFor(blocks, ns, out, in, state);
    }
    meet(exchange);
    exchange.beside[rank] = copyFor(blocks, ns, out, in, state);
    meet(exchange);
    return 0;
  });
  if (!trouble.empty()) throw Failure(trouble);
  double alone = exchange.alone[0] + exchange.alone[1];
  double beside = exchange.beside[0] + exchange.beside[1];
  row.counter("blocks", blocks);
  row.counter("alone_GBps", alone);  // payload read and written counts twice
  row.counter("both_GBps", 2 * beside);
  row.counter("limit_GBps", gpu.hbmGBps());
  if (alone > 0) row.counter("share_kept", beside / alone);
  row.label = "share_kept: 1 side by side, 0.5 in turns";
}

// Process 0 launches empty work while process 1 holds 16 SMs for a long time.
void launchBesideBusy(const Options& options, Row& row) {
  SharedMemory shared(sizeof(Exchange));
  auto& exchange = *shared.as<Exchange>();
  uint64_t ns = options.smoke ? 2000000 : 400000000;
  std::string trouble = runProcesses(2, 3 * kTimeoutS, exchange.notes, [&](int rank) {
    GPU_CALL(cudaSetDevice(options.device));
    size_t bytes = options.smoke ? 8 << 20 : 256 << 20;
    DeviceBuffer out(bytes), in(bytes), state(sizeof(PersistentCopyState));
    if (rank == 1) copyFor(16, 1000000, out, in, state);
    Stream stream;
    auto launch = [&] {
      launchSeed(stream, out.as<uint32_t>(), 1, 0);
      stream.sync();
    };
    if (rank == 0) exchange.idleUs = timeOnHost(5, options.smoke ? 2 : 100, launch);
    meet(exchange);
    if (rank == 1) {
      copyFor(16, ns, out, in, state);
    } else {
      double enough = nowUs() + ns / 1e3 * 0.8;
      std::vector<double> us;
      while (nowUs() < enough) us.push_back(timeOnHost(0, 1, launch).median);
      exchange.busyUs = spreadOf(std::move(us));
    }
    meet(exchange);
    return 0;
  });
  if (!trouble.empty()) throw Failure(trouble);
  row.us = exchange.busyUs;
  row.iterations = 1;
  row.counter("idle_us", exchange.idleUs.median);
  row.counter("busy_max_us", exchange.busyUs.max);
}

}  // namespace

void measureProcessPair(const Options& options, const GpuFacts& gpu, Report& report) {
  report.measure("sharing/two_processes/flag_round_trip/host_memory",
                 [&](Row& row) { coResidency(options, row, true); });
  report.measure("sharing/two_processes/flag_round_trip/ipc_memory",
                 [&](Row& row) { coResidency(options, row, false); });
  for (int blocks : {16, gpu.smCount})
    report.measure("sharing/two_processes/copy/blocks:" + std::to_string(blocks),
                   [&](Row& row) { copyPair(options, gpu, row, blocks); });
  report.measure("sharing/two_processes/launch_beside_busy",
                 [&](Row& row) { launchBesideBusy(options, row); });
}

}  // namespace tutti::gpuperf
