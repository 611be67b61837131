// Two streams of one process, and two green contexts: side by side, and on which SMs.
#include <algorithm>
#include <functional>

#include "common/driver.hpp"
#include "common/failure.hpp"
#include "common/persistent_copy.hpp"
#include "common/timing.hpp"
#include "sharing_parts.hpp"
#include "spin_kernels.hpp"

namespace tutti::gpuperf {
namespace {

constexpr uint64_t kSpinBoundNs = 1500000000ull;
constexpr int kGreenSms = 16;

// A stream and the context that must be current to launch into it (null: the primary one, which is current
// anyway).
struct Lane {
  cudaStream_t stream;
  CUcontext context;
};

// Makes the lane's context current for a launch.
class Entered {
 public:
  explicit Entered(const Lane& lane) {
    if (lane.context == nullptr) return;
    const Driver& driver = Driver::get();
    GPU_DRIVER(driver.ctxGetCurrent(&before_));
    GPU_DRIVER(driver.ctxSetCurrent(lane.context));
    entered_ = true;
  }
  ~Entered() {
    if (entered_) Driver::get().ctxSetCurrent(before_);
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  CUcontext before_ = nullptr;
  bool entered_ = false;
};

void flagsBetween(const Options& options, Row& row, const Lane& a, const Lane& b) {
  DeviceBuffer flags(8192), results(2 * sizeof(PingPongResult));
  uint32_t rounds = options.smoke ? 3 : 2000;
  auto* sides = results.as<PingPongResult>();
  std::vector<double> us;
  for (int s = 0; s < std::min(options.samples, 3) + 1; ++s) {
    GPU_CALL(cudaMemset(flags.as(), 0, flags.bytes()));
    GPU_CALL(cudaMemset(results.as(), 0, results.bytes()));
    GPU_CALL(cudaDeviceSynchronize());
    {
      Entered lane(a);
      launchFlagSide(a.stream, flags.as<uint32_t>(), true, rounds, kSpinBoundNs, sides);
    }
    {
      Entered lane(b);
      launchFlagSide(b.stream, flags.as<uint32_t>(), false, rounds, kSpinBoundNs, sides + 1);
    }
    syncWithin(a.stream, 10);
    syncWithin(b.stream, 10);
    PingPongResult side{};
    GPU_CALL(cudaMemcpy(&side, sides, sizeof side, cudaMemcpyDeviceToHost));
    row.counters.clear();
    row.counter("rounds", side.rounds);
    row.counter("co_resident", side.rounds == rounds ? 1 : 0);
    if (side.rounds != rounds) {
      // The first pair may meet late: launching the second kernel can wait for the first while code is
      // loaded.
      if (s == 0) continue;
      row.label = "the two kernels did not run together";
      return;
    }
    if (s > 0) us.push_back(side.ns / 1e3 / rounds);
  }
  row.us = spreadOf(us);
  row.iterations = rounds;
  row.label = "run together";
}

// Two copies of 16 blocks: the first lane alone, then both.
void copyBetween(const Options& options, const GpuFacts& gpu, Row& row, const Lane& a, const Lane& b) {
  size_t bytes = options.smoke ? 8 << 20 : 512 << 20;
  uint64_t ns = options.smoke ? 1000000 : 100000000;
  DeviceBuffer in(bytes), outA(bytes), outB(bytes), states(2 * 256);
  GPU_CALL(cudaMemset(in.as(), 1, bytes));
  GPU_CALL(cudaDeviceSynchronize());
  PersistentCopyState* state[2] = {states.as<PersistentCopyState>(), states.as<PersistentCopyState>(256)};
  auto run = [&](bool both) {
    double gbps = 0;
    for (int k = 0; k < (both ? 2 : 1); ++k) {
      const Lane& lane = k == 0 ? a : b;
      Entered entered(lane);
      resetPersistentCopy(lane.stream, state[k]);
      launchPersistentCopy(lane.stream, kGreenSms, false, (k == 0 ? outA : outB).as(), in.as(), bytes / 16,
                           state[k], ns);
    }
    for (int k = 0; k < (both ? 2 : 1); ++k) {
      syncWithin((k == 0 ? a : b).stream, 10);
      PersistentCopyState result;
      GPU_CALL(cudaMemcpy(&result, state[k], sizeof result, cudaMemcpyDeviceToHost));
      gbps += static_cast<double>(result.bytesCopied) / (result.lastNs - result.firstNs);
    }
    return gbps;
  };
  run(true);
  double alone = run(false);
  double both = run(true);
  row.counter("blocks", kGreenSms);
  row.counter("alone_GBps", 2 * alone);
  row.counter("both_GBps", 2 * both);
  row.counter("limit_GBps", gpu.hbmGBps());
  row.counter("share_kept", both / (2 * alone));
}

// Two green contexts of 16 SMs each, split off one device.
class GreenPair {
 public:
  explicit GreenPair(int device) : driver_(Driver::get()) {
    if (driver_.greenCtxCreate == nullptr || driver_.greenCtxStreamCreate == nullptr ||
        driver_.ctxFromGreenCtx == nullptr || driver_.devSmResourceSplitByCount == nullptr)
      throw NotAvailable("this driver has no green contexts (they need 12.5)");
    CUdevice handle;
    GPU_DRIVER(driver_.deviceGet(&handle, device));
    CUdevResource all{}, rest{}, groups[2] = {};
    GPU_DRIVER(driver_.deviceGetDevResource(handle, &all, CU_DEV_RESOURCE_TYPE_SM));
    unsigned found = 2;
    GPU_DRIVER(driver_.devSmResourceSplitByCount(groups, &found, &all, &rest, 0, kGreenSms));
    if (found < 2) throw NotAvailable("the device gives fewer than two groups of 16 SMs");
    for (int k = 0; k < 2; ++k) {
      smCount[k] = static_cast<int>(groups[k].sm.smCount);
      CUdevResourceDesc description;
      GPU_DRIVER(driver_.devResourceGenerateDesc(&description, &groups[k], 1));
      GPU_DRIVER(driver_.greenCtxCreate(&green_[k], description, handle, CU_GREEN_CTX_DEFAULT_STREAM));
      CUstream stream;
      GPU_DRIVER(driver_.greenCtxStreamCreate(&stream, green_[k], CU_STREAM_NON_BLOCKING, 0));
      lane[k].stream = stream;
      GPU_DRIVER(driver_.ctxFromGreenCtx(&lane[k].context, green_[k]));
    }
  }
  ~GreenPair() {
    for (int k = 0; k < 2; ++k) {
      if (lane[k].stream != nullptr) (void)cudaStreamDestroy(lane[k].stream);
      if (green_[k] != nullptr) driver_.greenCtxDestroy(green_[k]);
    }
  }
  GreenPair(const GreenPair&) = delete;
  GreenPair& operator=(const GreenPair&) = delete;

  Lane lane[2] = {};
  int smCount[2] = {};

 private:
  const Driver& driver_;
  CUgreenCtx green_[2] = {};
};

// Which SMs the blocks of each lane land on.
void partition(Row& row, GreenPair& pair) {
  constexpr int kMaxSms = 1024;
  DeviceBuffer marks(2 * kMaxSms * sizeof(uint32_t));
  GPU_CALL(cudaMemset(marks.as(), 0, marks.bytes()));
  GPU_CALL(cudaDeviceSynchronize());
  std::vector<uint32_t> used(2 * kMaxSms);
  for (int k = 0; k < 2; ++k) {
    Entered entered(pair.lane[k]);
    launchMarkSms(pair.lane[k].stream, 2048, marks.as<uint32_t>() + k * kMaxSms);
    syncWithin(pair.lane[k].stream, 10);
  }
  GPU_CALL(cudaMemcpy(used.data(), marks.as(), marks.bytes(), cudaMemcpyDeviceToHost));
  int count[2] = {}, common = 0;
  for (int i = 0; i < kMaxSms; ++i) {
    count[0] += used[i] != 0;
    count[1] += used[kMaxSms + i] != 0;
    common += used[i] != 0 && used[kMaxSms + i] != 0;
  }
  row.counter("granted_first", pair.smCount[0]);
  row.counter("used_first", count[0]);
  row.counter("granted_second", pair.smCount[1]);
  row.counter("used_second", count[1]);
  row.counter("in_both", common);
  row.label = common == 0 ? "disjoint" : "the sets overlap: not a partition";
}

}  // namespace

void measureStreamPair(const Options& options, const GpuFacts& gpu, Report& report) {
  auto streams = [&](Row& row, auto&& body) {
    GPU_CALL(cudaSetDevice(options.device));
    Stream a, b;
    body(row, Lane{a, nullptr}, Lane{b, nullptr});
  };
  auto greens = [&](Row& row, auto&& body) {
    GPU_CALL(cudaSetDevice(options.device));
    GreenPair pair(options.device);
    body(row, pair);
  };
  report.measure("sharing/two_streams/flag_round_trip", [&](Row& row) {
    streams(row, [&](Row& r, const Lane& a, const Lane& b) { flagsBetween(options, r, a, b); });
  });
  report.measure("sharing/two_streams/copy", [&](Row& row) {
    streams(row, [&](Row& r, const Lane& a, const Lane& b) { copyBetween(options, gpu, r, a, b); });
  });
  report.measure("sharing/green_contexts/partition",
                 [&](Row& row) { greens(row, [&](Row& r, GreenPair& pair) { partition(r, pair); }); });
  report.measure("sharing/green_contexts/flag_round_trip", [&](Row& row) {
    greens(row, [&](Row& r, GreenPair& pair) { flagsBetween(options, r, pair.lane[0], pair.lane[1]); });
  });
  report.measure("sharing/green_contexts/copy", [&](Row& row) {
    greens(row, [&](Row& r, GreenPair& pair) { copyBetween(options, gpu, r, pair.lane[0], pair.lane[1]); });
  });
}

}  // namespace tutti::gpuperf
