// How fast device memory can be copied and added, by method, thread blocks and bytes in flight; and the copy
// engine.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "common/batch_copy.hpp"
#include "common/failure.hpp"
#include "common/gpu.hpp"
#include "common/report.hpp"
#include "common/timing.hpp"
#include "hbm_variants.hpp"

namespace tutti::gpuperf {
namespace {

constexpr size_t kMiB = 1 << 20;

class HbmPerf {
 public:
  HbmPerf(const Options& options, const GpuFacts& gpu, Report& report)
      : options_(options), gpu_(gpu), report_(report), arrayBytes_(pickArrayBytes()) {
    for (int i = 0; i < 5; ++i) arrays_.emplace_back(arrayBytes_);
    report.context("array_mib", static_cast<double>(arrayBytes_ / kMiB));
  }

  void run() {
    std::vector<MoveVariant> variants = vectorVariants();
    for (MoveVariant& variant : bulkVariants()) variants.push_back(std::move(variant));
    for (const char* type : {"fp32", "bf16", "fp8e4m3"}) {
      for (unsigned i = 0; i < 4; ++i) fillInput(type, arrays_[i + 1].as(), arrayBytes_, i, stream_);
      for (const MoveVariant& variant : variants)
        if (variant.type == type) runVariant(variant);
    }
    runCopyEngine();
    runBatches();
  }

 private:
  size_t pickArrayBytes() const {
    if (options_.smoke) return kMiB;
    size_t wanted = 2048 * kMiB;
    while (wanted * 8 > gpu_.memoryBytes) wanted /= 2;
    return wanted;
  }

  std::vector<int> blockCounts(bool needsSm90) const {
    std::vector<int> counts = options_.smoke   ? std::vector<int>{1, 8}
                              : options_.quick ? std::vector<int>{1, 4, 8, 16, 32, 64}
                                               : std::vector<int>{1, 2, 4, 8, 16, 24, 32, 48, 64, 96};
    counts.erase(std::remove_if(counts.begin(), counts.end(), [&](int b) { return b >= gpu_.smCount; }),
                 counts.end());
    if (options_.smoke) return counts;
    counts.push_back(gpu_.smCount);
    // Two blocks on an SM help plain loads; a bulk ring takes most of the shared memory, so there is no room
    // for two.
    if (!needsSm90) counts.push_back(2 * gpu_.smCount);
    return counts;
  }

  MoveArguments slice(const MoveVariant& variant, int blocks, size_t bytes, int k) const {
    size_t at = (static_cast<size_t>(k) % (arrayBytes_ / bytes)) * bytes;
    MoveArguments arguments;
    arguments.out = arrays_[0].as(at);
    for (int i = 0; i < variant.inputs; ++i)
      arguments.in[i] = arrays_[i + 1 + (variant.addsToOut ? 1 : 0)].as(at);
    arguments.bytes = bytes;
    arguments.blocks = blocks;
    arguments.stream = stream_;
    return arguments;
  }

  // Once per variant, on a part of the arrays and with a block count that divides nothing.
  void verify(const MoveVariant& variant) {
    size_t bytes = std::min<size_t>(arrayBytes_, 64 * kMiB);
    GPU_CALL(cudaMemsetAsync(arrays_[0].as(), 0xff, bytes, stream_));
    if (variant.addsToOut) fillInput(variant.type, arrays_[0].as(), bytes, 0, stream_);
    variant.launch(slice(variant, 7, bytes, 0));
    unsigned summands = static_cast<unsigned>(variant.inputs + (variant.addsToOut ? 1 : 0));
    unsigned long long wrong = wrongElements(variant.type, arrays_[0].as(), bytes, summands, stream_);
    if (wrong != 0) throw Failure("wrong result: " + std::to_string(wrong) + " elements");
  }

  void runVariant(const MoveVariant& variant) {
    std::string head = "hbm/" + variant.method + "/" + variant.op() + "/" + variant.type;
    std::string tail = "/inflight:" + std::to_string(variant.inFlight);
    bool verified = false;
    for (int blocks : blockCounts(variant.needsSm90)) {
      report_.measure(head + "/blocks:" + std::to_string(blocks) + tail, [&](Row& row) {
        if (variant.needsSm90 && gpu_.major < 9)
          throw NotAvailable("cp.async.bulk needs compute capability 9.0");
        if (!verified) verify(variant);
        verified = true;
        // Few blocks get less to do, in slices that walk through the arrays so that L2 (or what is dirty in
        // it) does not decide the result.
        size_t bytes = arrayBytes_;
        while (bytes > 32 * kMiB * static_cast<size_t>(blocks)) bytes /= 2;
        int perSample = 2;
        row.us = timeOnStream(stream_, options_.samples, perSample,
                              [&](int k) { variant.launch(slice(variant, blocks, bytes, k)); });
        row.iterations = perSample;
        row.counter("blocks", blocks);
        row.counter("inflight", static_cast<double>(variant.inFlight));
        row.bandwidth(static_cast<double>(bytes) * variant.traffic(), gpu_.hbmGBps());
      });
    }
  }

  std::vector<size_t> copySizes() const {
    std::vector<size_t> sizes;
    for (size_t bytes = 4096; bytes <= arrayBytes_; bytes *= options_.quick ? 16 : 4) sizes.push_back(bytes);
    if (sizes.back() != arrayBytes_) sizes.push_back(arrayBytes_);
    return sizes;
  }

  static int repetitions(size_t bytes) {
    return static_cast<int>(std::clamp<size_t>(512 * kMiB / bytes, 2, 200));
  }

  void runCopyEngine() {
    for (size_t bytes : copySizes()) {
      report_.measure("hbm/ce/copy/bytes:" + std::to_string(bytes), [&](Row& row) {
        int perSample = options_.smoke ? 2 : repetitions(bytes);
        row.us = timeOnStream(stream_, options_.samples, perSample, [&](int k) {
          size_t at = (static_cast<size_t>(k) % (arrayBytes_ / bytes)) * bytes;
          GPU_CALL(cudaMemcpyAsync(arrays_[0].as(at), arrays_[1].as(at), bytes, cudaMemcpyDeviceToDevice,
                                   stream_));
        });
        row.iterations = perSample;
        row.bandwidth(2.0 * bytes, gpu_.hbmGBps());
      });
    }
  }

  // One call for 16 copies, with and without the hint that asks for the copy engine instead of the SMs.
  void runBatches() {
    constexpr int kCopies = 16;
    for (bool preferOverlap : {false, true}) {
      for (size_t bytes : copySizes()) {
        if (bytes * kCopies > arrayBytes_) continue;
        std::string name = "hbm/ce_batch/copies:16/overlap:" + std::to_string(preferOverlap) +
                           "/bytes:" + std::to_string(bytes);
        report_.measure(name, [&](Row& row) {
          int perSample = options_.smoke ? 1 : std::clamp(repetitions(bytes * kCopies), 2, 50);
          row.us = timeOnStream(stream_, options_.samples, perSample, [&](int k) {
            size_t at = (static_cast<size_t>(k) % (arrayBytes_ / (bytes * kCopies))) * bytes * kCopies;
            std::vector<CopyPart> parts;
            for (int c = 0; c < kCopies; ++c)
              parts.push_back({arrays_[0].as(at + c * bytes), arrays_[1].as(at + c * bytes), bytes});
            copyBatch(parts, preferOverlap, stream_);
          });
          row.iterations = perSample;
          row.counter("us_per_copy", row.us.median / kCopies);
          row.bandwidth(2.0 * bytes * kCopies, gpu_.hbmGBps());
        });
      }
    }
  }

  const Options& options_;
  const GpuFacts& gpu_;
  Report& report_;
  size_t arrayBytes_;
  Stream stream_;
  std::vector<DeviceBuffer> arrays_;  // [0] output, [1..4] inputs
};

}  // namespace
}  // namespace tutti::gpuperf

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options =
      Options::parse(argc, argv, "device memory: copies and sums by method, blocks and bytes in flight");
  GpuFacts gpu = openGpu(options);
  Report report(options, "gpu_hbm");
  describe(report, gpu);
  try {
    HbmPerf(options, gpu, report).run();
  } catch (const Failure& failure) {
    Row row;
    row.name = "hbm/setup";
    row.error = failure.what();
    report.add(row);
  }
  return report.finish();
}
