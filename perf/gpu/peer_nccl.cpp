// The peer on the same machine: all_reduce of a libnccl.so.2 with several ranks, one process each, on one
// GPU.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "common/failure.hpp"
#include "common/process.hpp"
#include "common/timing.hpp"
#include "nccl_library.hpp"
#include "peer_kernels.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kMaxRanks = 8;
constexpr int kMaxPoints = 24;
constexpr int kSamples = 3;
// The first version that lets several ranks use one GPU when asked to.
constexpr int kMultiRankVersion = 23000;

struct Point {
  size_t bytes;
  int inPlace;
  int iterations;
  double us[kMaxRanks][kSamples];
  unsigned long long wrong[kMaxRanks];
  int done;
};

struct Exchange {
  ChildNote notes[kMaxRanks];
  ProcessBarrier barrier;
  NcclLibrary::UniqueId id;
  int version;
  int stop;
  int pointCount;
  Point points[kMaxPoints];
};

struct Settings {
  std::string library;
  int device;
  int ranks;
  int version;
  double budgetS;
  double meetS;  // longest one rank waits for the others
};

void meet(Exchange& exchange, const Settings& settings) {
  if (!exchange.barrier.wait(settings.ranks, settings.meetS)) throw Failure("another rank did not come");
}

class Rank {
 public:
  Rank(Exchange& exchange, const Settings& settings, int rank)
      : exchange_(exchange), settings_(settings), rank_(rank), library_(settings.library) {
    GPU_CALL(cudaSetDevice(settings.device));
    if (rank == 0) exchange.id = library_.uniqueId();
    meet(exchange, settings);
    comm_ = library_.join(settings.ranks, exchange.id, rank);
    size_t most = 0;
    for (int p = 0; p < exchange.pointCount; ++p) most = std::max(most, exchange.points[p].bytes);
    in_ = DeviceBuffer(most);
    out_ = DeviceBuffer(most);
    wrong_ = DeviceBuffer(sizeof(unsigned long long));
  }

  void run() {
    double end = nowUs() + settings_.budgetS * 1e6;
    for (int p = 0; p < exchange_.pointCount; ++p) {
      if (rank_ == 0 && nowUs() > end) exchange_.stop = 1;
      meet(exchange_, settings_);
      if (exchange_.stop != 0) break;
      runPoint(exchange_.points[p]);
    }
    meet(exchange_, settings_);
    library_.leave(comm_);
  }

 private:
  void runPoint(Point& point) {
    size_t count = point.bytes / sizeof(float);
    float* out = out_.as<float>();
    float* in = point.inPlace != 0 ? out : in_.as<float>();
    auto* wrong = wrong_.as<unsigned long long>();

    // Once checked, once more to estimate the time.
    GPU_CALL(cudaMemsetAsync(out, 0xff, point.bytes, stream_));
    launchFillForRank(stream_, in, count, rank_);
    library_.allReduce(in, out, count, comm_, stream_);
    GPU_CALL(cudaMemsetAsync(wrong, 0, sizeof *wrong, stream_));
    launchCountNotSummed(stream_, out, count, settings_.ranks, wrong);
    GPU_CALL(cudaMemcpyAsync(&point.wrong[rank_], wrong, sizeof *wrong, cudaMemcpyDeviceToHost, stream_));
    stream_.sync();
    meet(exchange_, settings_);
    double start = nowUs();
    library_.allReduce(in, out, count, comm_, stream_);
    stream_.sync();
    if (rank_ == 0) point.iterations = static_cast<int>(std::clamp(100e3 / (nowUs() - start), 1.0, 200.0));
    for (int s = 0; s < kSamples; ++s) {
      meet(exchange_, settings_);
      start = nowUs();
      for (int i = 0; i < point.iterations; ++i) library_.allReduce(in, out, count, comm_, stream_);
      stream_.sync();
      point.us[rank_][s] = (nowUs() - start) / point.iterations;
    }
    meet(exchange_, settings_);
    point.done = 1;
  }

  Exchange& exchange_;
  const Settings& settings_;
  int rank_;
  NcclLibrary library_;
  NcclLibrary::Comm comm_ = nullptr;
  Stream stream_;
  DeviceBuffer in_, out_, wrong_;
};

void listPoints(Exchange& exchange, const Options& options, size_t largest) {
  for (int inPlace : {0, 1}) {
    for (size_t bytes = 8; bytes <= largest; bytes *= options.quick ? 64 : 8) {
      Point& point = exchange.points[exchange.pointCount++];
      point.bytes = bytes;
      point.inPlace = inPlace;
    }
  }
  // Small sizes of both kinds first, so that a used-up budget costs the largest ones.
  std::stable_sort(exchange.points, exchange.points + exchange.pointCount,
                   [](const Point& a, const Point& b) { return a.bytes < b.bytes; });
}

void addRow(Report& report, const GpuFacts& gpu, int ranks, const Point& point) {
  std::string name = "peer/all_reduce/ranks:" + std::to_string(ranks) +
                     (point.inPlace != 0 ? "/in_place" : "/out_of_place") +
                     "/bytes:" + std::to_string(point.bytes);
  report.measure(name, [&](Row& row) {
    if (point.done == 0) throw NotAvailable("not reached within the time budget");
    unsigned long long wrong = 0;
    std::vector<double> us;
    for (int r = 0; r < ranks; ++r) wrong += point.wrong[r];
    for (int s = 0; s < kSamples; ++s) {
      double slowest = 0;
      for (int r = 0; r < ranks; ++r) slowest = std::max(slowest, point.us[r][s]);
      us.push_back(slowest);
    }
    if (wrong != 0) throw Failure("wrong result: " + std::to_string(wrong) + " elements");
    row.us = spreadOf(us);
    row.iterations = point.iterations;
    double algorithmGBps = point.bytes / row.us.median / 1e3;
    row.counter("algbw_GBps", algorithmGBps);
    row.counter("busbw_GBps", algorithmGBps * 2 * (ranks - 1) / ranks);
    // One GPU: every rank's input is read at least once and every output written once.
    double limitUs = 2.0 * ranks * point.bytes / gpu.hbmGBps() / 1e3;
    row.counter("limit_us", limitUs);
    row.counter("ratio", limitUs / row.us.median);
  });
}

void runRanks(const Options& options, const GpuFacts& gpu, Report& report, Settings settings) {
  SharedMemory shared(sizeof(Exchange));
  auto& exchange = *shared.as<Exchange>();
  size_t largest = options.smoke ? 4096 : options.quick ? 128ull << 20 : 1ull << 30;
  // Two buffers a rank, and room for what the library takes itself.
  while (largest * 2 * settings.ranks > gpu.memoryBytes / 2) largest /= 2;
  listPoints(exchange, options, largest);
  std::string trouble = runProcesses(settings.ranks, settings.budgetS + 60, exchange.notes, [&](int rank) {
    if (settings.version >= kMultiRankVersion) {
      setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 1);
    } else {
      // Ranks that believe to be on different hosts do not compare their GPUs, and talk through the network
      // path.
      setenv("NCCL_HOSTID", ("tutti-gpu-perf-" + std::to_string(rank)).c_str(), 1);
    }
    Rank(exchange, settings, rank).run();
    return 0;
  });
  for (int p = 0; p < exchange.pointCount; ++p) addRow(report, gpu, settings.ranks, exchange.points[p]);
  report.measure("peer/all_reduce/ranks:" + std::to_string(settings.ranks) + "/run", [&](Row& row) {
    if (!trouble.empty()) throw Failure(trouble);
    row.label = exchange.stop != 0 ? "stopped at the time budget" : "all sizes";
  });
}

// The version, asked in a child: the parent never loads the library.
int versionOf(const std::string& library, std::string* why) {
  SharedMemory shared(sizeof(Exchange));
  auto& exchange = *shared.as<Exchange>();
  *why = runProcesses(1, 30, exchange.notes, [&](int) {
    exchange.version = NcclLibrary(library).version();
    return 0;
  });
  return why->empty() ? exchange.version : 0;
}

std::string dotted(int version) {
  // 2.9 and later: major * 10000 + minor * 100 + patch; before: major * 1000.
  int unit = version >= 10000 ? 10000 : 1000;
  return std::to_string(version / unit) + "." + std::to_string(version % unit / 100) + "." +
         std::to_string(version % 100);
}

}  // namespace
}  // namespace tutti::gpuperf

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options = Options::parse(argc, argv, "all_reduce of a libnccl.so.2, several ranks on one GPU",
                                   {{"library", "libnccl.so.2", "which library"},
                                    {"budget", "30", "seconds for one number of ranks"},
                                    {"ranks", "", "one number of ranks instead of 2, 4 and 8"}});
  GpuFacts gpu = probeGpu(options);
  Report report(options, "gpu_peer_nccl");
  describe(report, gpu);
  std::string why;
  int version = versionOf(options.text("library"), &why);
  report.context("nccl_library", options.text("library"));
  report.context("nccl_version", version != 0 ? dotted(version) : "none");
  if (version == 0) {
    Row row;
    row.name = "peer/all_reduce";
    row.skipped = why;
    report.add(row);
    return report.finish();
  }
  report.context("nccl_sharing",
                 version >= kMultiRankVersion ? "NCCL_MULTI_RANK_GPU_ENABLE=1" : "NCCL_HOSTID per rank");
  std::vector<int> counts{2, 4, 8};
  if (options.number("ranks") > 0)
    counts.assign(1, std::clamp(static_cast<int>(options.number("ranks")), 1, kMaxRanks));
  for (int ranks : counts) {
    Settings settings{options.text("library"),      options.device, ranks, version, options.number("budget"),
                      options.number("budget") + 20};
    runRanks(options, gpu, report, settings);
  }
  return report.finish();
}
