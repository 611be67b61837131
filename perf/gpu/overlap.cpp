// A large matrix product with communication beside it: on a few SMs, and by the copy engine. And which copies
// need no SM.
#include <algorithm>
#include <cmath>
#include <functional>

#include "common/batch_copy.hpp"
#include "common/failure.hpp"
#include "common/persistent_copy.hpp"
#include "common/timing.hpp"
#include "gemm.hpp"
#include "hold_sms.hpp"

namespace tutti::gpuperf {
namespace {

constexpr size_t kMiB = 1 << 20;

class OverlapPerf {
 public:
  OverlapPerf(const Options& options, const GpuFacts& gpu, Report& report)
      : options_(options),
        gpu_(gpu),
        report_(report),
        n_(options.smoke ? 256 : 8192),
        bytes_(options.smoke ? 16 * kMiB : 1024 * kMiB),
        a_(2ull * n_ * n_),
        b_(2ull * n_ * n_),
        c_(4ull * n_ * n_),
        from_(bytes_),
        to_(bytes_),
        state_(sizeof(PersistentCopyState)),
        chunk_(std::min(64 * kMiB, bytes_ / 4)),
        host_(chunk_) {
    fillRandomBf16(a_.as(), static_cast<size_t>(n_) * n_, 1, gemmStream_);
    fillRandomBf16(b_.as(), static_cast<size_t>(n_) * n_, 2, gemmStream_);
    GPU_CALL(cudaMemsetAsync(from_.as(), 0x5a, bytes_, gemmStream_));
    gemmStream_.sync();
  }

  void run() {
    measureSmFree();
    pickGemm();
    measureAlone();
    if (gemmUs_ <= 0) return;
    for (int sms : {4, 8, 16, 32}) {
      withCopyKernel(sms, false, false);
      withCopyKernel(sms, true, false);
      withCopyKernel(sms, true, true);
    }
    withCopyEngine(
        "d2d_memcpy",
        [&](size_t at, size_t bytes) {
          GPU_CALL(cudaMemcpyAsync(to_.as(at), from_.as(at), bytes, cudaMemcpyDeviceToDevice, copyStream_));
        },
        2);
    withCopyEngine(
        "d2d_batch_prefer_overlap",
        [&](size_t at, size_t bytes) {
          copyBatch({{to_.as(at), from_.as(at), bytes}}, true, copyStream_);
        },
        2);
    withCopyEngine(
        "h2d",
        [&](size_t at, size_t bytes) {
          GPU_CALL(cudaMemcpyAsync(to_.as(at), host_.host(), bytes, cudaMemcpyHostToDevice, copyStream_));
        },
        1);
    withCopyEngine(
        "d2h",
        [&](size_t at, size_t bytes) {
          GPU_CALL(cudaMemcpyAsync(host_.host(), from_.as(at), bytes, cudaMemcpyDeviceToHost, copyStream_));
        },
        1);
  }

 private:
  // Time of a copy issued while a kernel holds every SM: if it ends before that kernel does, it needed none.
  void smFree(const std::string& kind, size_t bytes, const std::function<void(cudaStream_t)>& copy) {
    report_.measure("overlap/sm_free/" + kind + "/bytes:" + std::to_string(bytes), [&](Row& row) {
      copy(copyStream_);
      copyStream_.sync();
      HostBuffer held(64);
      DeviceBuffer arrived(64);
      GPU_CALL(cudaMemsetAsync(arrived.as(), 0, 64, gemmStream_));
      gemmStream_.sync();
      constexpr uint64_t kHoldNs = 20000000;
      Event done;
      launchHoldAllSms(gemmStream_, gpu_.smCount, arrived.as<uint32_t>(), held.device<uint32_t>(), kHoldNs);
      double deadline = nowUs() + 1e6;
      while (__atomic_load_n(held.host<uint32_t>(), __ATOMIC_ACQUIRE) == 0)
        if (nowUs() > deadline)
          throw Failure("the kernel that holds all SMs did not get them within a second");
      double start = nowUs();
      copy(copyStream_);
      GPU_CALL(cudaEventRecord(done, copyStream_));
      GPU_CALL(cudaEventSynchronize(done));
      double took = nowUs() - start;
      bool stillHeld = cudaStreamQuery(gemmStream_) == cudaErrorNotReady;
      gemmStream_.sync();
      row.us = spreadOf({took});
      row.iterations = 1;
      row.counter("sm_free", stillHeld ? 1 : 0);
      row.label = stillHeld ? "needs no SM" : "waited for SMs";
    });
  }

  void measureSmFree() {
    for (size_t bytes : {size_t{4096}, kMiB, std::min(bytes_, 64 * kMiB)}) {
      smFree("d2d_memcpy", bytes, [&, bytes](cudaStream_t stream) {
        GPU_CALL(cudaMemcpyAsync(to_.as(), from_.as(), bytes, cudaMemcpyDeviceToDevice, stream));
      });
      smFree("d2d_batch_default", bytes, [&, bytes](cudaStream_t stream) {
        copyBatch({{to_.as(), from_.as(), bytes}}, false, stream);
      });
      smFree("d2d_batch_prefer_overlap", bytes, [&, bytes](cudaStream_t stream) {
        copyBatch({{to_.as(), from_.as(), bytes}}, true, stream);
      });
    }
    smFree("d2d_memcpy_peer", kMiB, [&](cudaStream_t stream) {
      GPU_CALL(cudaMemcpyPeerAsync(to_.as(), options_.device, from_.as(), options_.device, kMiB, stream));
    });
    smFree("h2d", kMiB, [&](cudaStream_t stream) {
      GPU_CALL(cudaMemcpyAsync(to_.as(), host_.host(), kMiB, cudaMemcpyHostToDevice, stream));
    });
    smFree("d2h", kMiB, [&](cudaStream_t stream) {
      GPU_CALL(cudaMemcpyAsync(host_.host(), from_.as(), kMiB, cudaMemcpyDeviceToHost, stream));
    });
    smFree("memset", kMiB,
           [&](cudaStream_t stream) { GPU_CALL(cudaMemsetAsync(to_.as(), 1, kMiB, stream)); });
  }

  void pickGemm() {
    std::string why;
    if (options_.text("gemm") != "plain")
      gemm_ = openCublas(options_.text("cublas"), n_, a_.as(), b_.as(), c_.as<float>(), &why);
    if (gemm_ == nullptr) {
      gemm_ = makePlainGemm(n_, a_.as(), b_.as(), c_.as<float>());
      report_.context("no_cublas", why.empty() ? "--gemm=plain" : why);
    }
    report_.context("gemm", gemm_->name());
    report_.context("gemm_n", n_);
  }

  // Some elements against sums in double.
  void verify() {
    std::vector<uint16_t> row(n_), column(n_);
    for (int probe = 0; probe < 16; ++probe) {
      size_t i = (probe * 1237ull + 5) % n_, j = (probe * 3121ull + 77) % n_;
      float got = 0;
      GPU_CALL(cudaMemcpy(row.data(), a_.as(i * n_ * 2), n_ * 2, cudaMemcpyDeviceToHost));
      GPU_CALL(cudaMemcpy(column.data(), b_.as(j * n_ * 2), n_ * 2, cudaMemcpyDeviceToHost));
      GPU_CALL(cudaMemcpy(&got, c_.as<float>((j * n_ + i) * 4), 4, cudaMemcpyDeviceToHost));
      double want = 0;
      for (int k = 0; k < n_; ++k) want += double(bf16ToFloat(row[k])) * bf16ToFloat(column[k]);
      if (!(std::fabs(got - want) < 0.05))
        throw Failure("the matrix product is wrong: " + std::to_string(got) + " instead of " +
                      std::to_string(want));
    }
  }

  void gemmCounters(Row& row) const {
    double tflops = 2.0 * n_ * n_ * n_ / row.us.median / 1e6;
    row.counter("TFlops", tflops);
    if (gpu_.bf16TFlops() > 0) {
      row.counter("limit_TFlops", gpu_.bf16TFlops());
      row.counter("ratio", tflops / gpu_.bf16TFlops());
    }
    if (gemmUs_ > 0) row.counter("gemm_slowdown", row.us.median / gemmUs_);
  }

  void measureAlone() {
    report_.measure("overlap/gemm_alone", [&](Row& row) {
      GPU_CALL(cudaMemsetAsync(c_.as(), 0xff, c_.bytes(), gemmStream_));
      gemm_->run(gemmStream_);
      gemmStream_.sync();
      verify();
      Spread one = timeOnStream(gemmStream_, 3, 4, [&](int) { gemm_->run(gemmStream_); });
      // About 40 ms of products beside each kind of copy.
      repeats_ = options_.smoke ? 2 : static_cast<int>(std::clamp(40e3 / one.median, 4.0, 400.0));
      row.us = timeOnStream(gemmStream_, options_.samples, repeats_, [&](int) { gemm_->run(gemmStream_); });
      row.iterations = repeats_;
      gemmCounters(row);
      gemmUs_ = row.us.median;
    });
  }

  PersistentCopyState readState(cudaStream_t stream) {
    PersistentCopyState state;
    GPU_CALL(cudaMemcpyAsync(&state, state_.as(), sizeof state, cudaMemcpyDeviceToHost, stream));
    GPU_CALL(cudaStreamSynchronize(stream));
    return state;
  }

  void startCopy(int sms, bool exclusive, uint64_t boundNs) {
    auto* state = state_.as<PersistentCopyState>();
    resetPersistentCopy(copyStream_, state);
    launchPersistentCopy(copyStream_, sms, exclusive, to_.as(), from_.as(), bytes_ / 16, state, boundNs);
  }

  // Reads and writes per second of the copy that has just ended.
  double copyGBps() {
    PersistentCopyState state = readState(copyStream_);
    return 2.0 * state.bytesCopied / (state.lastNs - state.firstNs);
  }

  void withCopyKernel(int sms, bool exclusive, bool told) {
    std::string name = "overlap/gemm_with_copy_kernel/sms:" + std::to_string(sms) +
                       "/own_sms:" + std::to_string(exclusive) + "/gemm_told:" + std::to_string(told);
    report_.measure(name, [&](Row& row) {
      if (told && !gemm_->planForSms(gpu_.smCount - sms))
        throw NotAvailable("this product cannot be told how many SMs it has");
      uint64_t alone = options_.smoke ? 1000000 : 20000000;
      startCopy(sms, exclusive, alone);
      copyStream_.sync();
      startCopy(sms, exclusive, alone);
      copyStream_.sync();
      double aloneGBps = copyGBps();

      std::vector<double> us, gbps;
      for (int s = 0; s < std::min(options_.samples, 3); ++s) {
        constexpr uint64_t kBoundNs = 3000000000ull;
        startCopy(sms, exclusive, kBoundNs);
        double deadline = nowUs() + 1e6;
        while (readState(sideStream_).blocksStarted != static_cast<uint32_t>(sms))
          if (nowUs() > deadline) throw Failure("the copy kernel's blocks did not all start");
        Event begin, end;
        GPU_CALL(cudaEventRecord(begin, gemmStream_));
        for (int i = 0; i < repeats_; ++i) gemm_->run(gemmStream_);
        GPU_CALL(cudaEventRecord(end, gemmStream_));
        GPU_CALL(cudaMemsetAsync(&state_.as<PersistentCopyState>()->stop, 1, sizeof(uint32_t), gemmStream_));
        gemmStream_.sync();
        copyStream_.sync();
        us.push_back(end.usSince(begin) / repeats_);
        gbps.push_back(copyGBps());
      }
      if (told) gemm_->planForSms(0);
      row.us = spreadOf(us);
      row.iterations = repeats_;
      gemmCounters(row);
      row.counter("copy_GBps", spreadOf(gbps).median);
      row.counter("copy_alone_GBps", aloneGBps);
      row.counter("copy_kept", spreadOf(gbps).median / aloneGBps);
    });
    if (told) gemm_->planForSms(0);
  }

  // `copy(at, bytes)` enqueues one chunk on copyStream_; traffic: bytes moved through HBM or the link per
  // byte of payload.
  void withCopyEngine(const std::string& kind, const std::function<void(size_t, size_t)>& copy,
                      double traffic) {
    report_.measure("overlap/gemm_with_copy_engine/" + kind, [&](Row& row) {
      auto next = [&](int k) { copy(static_cast<size_t>(k) % (bytes_ / chunk_) * chunk_, chunk_); };
      Spread alone = timeOnStream(copyStream_, 3, 8, next);
      // Enough chunks to outlast the products, with room for the copies slowing down less than they do.
      int chunks = static_cast<int>(std::clamp(1.5 * gemmUs_ * repeats_ / alone.median, 4.0, 800.0));
      std::vector<double> us, copyUs, covered;
      for (int s = 0; s < std::min(options_.samples, 3); ++s) {
        Event begin, end, copyBegin, copyEnd;
        GPU_CALL(cudaEventRecord(copyBegin, copyStream_));
        for (int k = 0; k < chunks; ++k) next(k);
        GPU_CALL(cudaEventRecord(copyEnd, copyStream_));
        GPU_CALL(cudaEventRecord(begin, gemmStream_));
        for (int i = 0; i < repeats_; ++i) gemm_->run(gemmStream_);
        GPU_CALL(cudaEventRecord(end, gemmStream_));
        gemmStream_.sync();
        copyStream_.sync();
        us.push_back(end.usSince(begin) / repeats_);
        copyUs.push_back(copyEnd.usSince(copyBegin) / chunks);
        // 1: copies were under way from the first product to the last.
        covered.push_back(std::clamp(copyEnd.usSince(begin) / end.usSince(begin), 0.0, 1.0));
      }
      row.us = spreadOf(us);
      row.iterations = repeats_;
      gemmCounters(row);
      row.counter("copy_GBps", traffic * chunk_ / spreadOf(copyUs).median / 1e3);
      row.counter("copy_alone_GBps", traffic * chunk_ / alone.median / 1e3);
      row.counter("copy_kept", alone.median / spreadOf(copyUs).median);
      row.counter("covered", spreadOf(covered).median);
    });
  }

  const Options& options_;
  const GpuFacts& gpu_;
  Report& report_;
  int n_;
  size_t bytes_;
  DeviceBuffer a_, b_, c_, from_, to_, state_;
  size_t chunk_;
  HostBuffer host_;
  Stream gemmStream_, copyStream_, sideStream_;
  std::unique_ptr<Gemm> gemm_;
  double gemmUs_ = 0;
  int repeats_ = 1;
};

}  // namespace
}  // namespace tutti::gpuperf

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options =
      Options::parse(argc, argv, "a bf16 matrix product with copies beside it; which copies need no SM",
                     {{"cublas", "", "path of libcublas.so"}, {"gemm", "auto", "auto or plain"}});
  GpuFacts gpu = openGpu(options);
  Report report(options, "gpu_overlap");
  describe(report, gpu);
  try {
    OverlapPerf(options, gpu, report).run();
  } catch (const Failure& failure) {
    Row row;
    row.name = "overlap/setup";
    row.error = failure.what();
    report.add(row);
  }
  return report.finish();
}
