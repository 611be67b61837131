// Between host and device: bandwidth each way and both, by chunk size; latency; copy engines; NUMA nodes.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>

#include "common/batch_copy.hpp"
#include "common/failure.hpp"
#include "common/persistent_copy.hpp"
#include "common/timing.hpp"

namespace tutti::gpuperf {
namespace {

constexpr size_t kMiB = 1 << 20;

// Pinned memory on one NUMA node.
class NumaBuffer {
 public:
  NumaBuffer(size_t bytes, int node) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) throw Failure("mmap of host memory failed");
    unsigned long mask = 1ul << node;
    constexpr int kBind = 2;  // MPOL_BIND
    if (syscall(SYS_mbind, data_, bytes, kBind, &mask, sizeof mask * 8, 0) != 0) {
      munmap(data_, bytes);
      throw NotAvailable("memory cannot be bound to NUMA node " + std::to_string(node));
    }
    std::memset(data_, 1, bytes);
    cudaError_t code = cudaHostRegister(data_, bytes, cudaHostRegisterDefault);
    if (code != cudaSuccess) {
      munmap(data_, bytes);
      GPU_CALL(code);
    }
  }
  ~NumaBuffer() {
    (void)cudaHostUnregister(data_);
    munmap(data_, bytes_);
  }
  NumaBuffer(const NumaBuffer&) = delete;
  NumaBuffer& operator=(const NumaBuffer&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
  size_t bytes_;
};

class HostDevicePerf {
 public:
  HostDevicePerf(const Options& options, const GpuFacts& gpu, Report& report)
      : options_(options),
        gpu_(gpu),
        report_(report),
        bytes_(options.smoke ? kMiB : 256 * kMiB),
        device_(bytes_),
        second_(bytes_),
        up_(bytes_),
        down_(bytes_) {}

  void run() {
    latencies();
    for (const char* way : {"h2d", "d2h", "both"}) chunkCurve(way);
    pageable();
    kernels();
    engines();
    numaNodes();
  }

 private:
  void toDevice(size_t at, size_t bytes, cudaStream_t stream) {
    GPU_CALL(cudaMemcpyAsync(device_.as(at), up_.host() + at, bytes, cudaMemcpyHostToDevice, stream));
  }
  void toHost(size_t at, size_t bytes, cudaStream_t stream) {
    GPU_CALL(cudaMemcpyAsync(down_.host() + at, second_.as(at), bytes, cudaMemcpyDeviceToHost, stream));
  }

  // One copy from call to completion: what a proxy pays for a single message.
  void latencies() {
    for (size_t bytes : {size_t{8}, size_t{4096}, size_t{65536}, kMiB}) {
      for (bool up : {true, false}) {
        std::string name = std::string("host_device/") + (up ? "h2d" : "d2h") +
                           "_to_completion/bytes:" + std::to_string(bytes);
        report_.measure(name, [&](Row& row) {
          row.us = timeOnHost(10, options_.smoke ? 2 : 200, [&] {
            if (up)
              toDevice(0, bytes, stream_);
            else
              toHost(0, bytes, stream_);
            stream_.sync();
          });
          row.iterations = 1;
          row.bandwidth(static_cast<double>(bytes), gpu_.pcieGBps());
        });
      }
    }
  }

  // The whole buffer in chunks, back to back in one stream (two for both ways).
  void chunkCurve(const std::string& way) {
    for (size_t chunk = options_.smoke ? bytes_ : 16384; chunk <= bytes_; chunk *= options_.quick ? 16 : 4) {
      report_.measure("host_device/" + way + "/chunk:" + std::to_string(chunk), [&](Row& row) {
        size_t total =
            std::min(bytes_, chunk * 2048);  // small chunks are bound by calls: no need for all of it
        double ways = way == "both" ? 2 : 1;
        row.us = timeOnStream(stream_, options_.samples, 1, [&](int) {
          // Both ways: the second stream starts after the first event and ends before the last.
          if (way == "both") {
            GPU_CALL(cudaEventRecord(fork_, stream_));
            GPU_CALL(cudaStreamWaitEvent(otherStream_, fork_));
          }
          for (size_t at = 0; at + chunk <= total; at += chunk) {
            if (way != "d2h") toDevice(at, chunk, stream_);
            if (way != "h2d") toHost(at, chunk, way == "both" ? otherStream_ : stream_);
          }
          if (way == "both") {
            GPU_CALL(cudaEventRecord(join_, otherStream_));
            GPU_CALL(cudaStreamWaitEvent(stream_, join_));
          }
        });
        row.iterations = static_cast<double>(total / chunk);
        row.bandwidth(ways * static_cast<double>(total / chunk * chunk), ways * gpu_.pcieGBps());
      });
    }
  }

  void pageable() {
    size_t bytes = std::min(bytes_, 64 * kMiB);
    std::vector<char> memory(bytes, 1);
    for (bool up : {true, false}) {
      report_.measure(
          std::string("host_device/") + (up ? "h2d" : "d2h") + "_pageable/bytes:" + std::to_string(bytes),
          [&](Row& row) {
            row.us = timeOnHost(1, std::min(options_.samples, 5), [&] {
              if (up)
                GPU_CALL(cudaMemcpy(device_.as(), memory.data(), bytes, cudaMemcpyHostToDevice));
              else
                GPU_CALL(cudaMemcpy(memory.data(), device_.as(), bytes, cudaMemcpyDeviceToHost));
            });
            row.iterations = 1;
            row.bandwidth(static_cast<double>(bytes), gpu_.pcieGBps());
          });
    }
  }

  // SMs that load from or store to pinned host memory, instead of the copy engine.
  void kernels() {
    for (bool read : {true, false}) {
      for (int blocks : {1, 2, 4, 8, 16}) {
        std::string name = std::string("host_device/") + (read ? "kernel_reads_host" : "kernel_writes_host") +
                           "/blocks:" + std::to_string(blocks);
        report_.measure(name, [&](Row& row) {
          DeviceBuffer state(sizeof(PersistentCopyState));
          auto* shared = state.as<PersistentCopyState>();
          std::vector<double> us;
          double bytes = 0;
          for (int s = 0; s < std::min(options_.samples, 3) + 1; ++s) {
            resetPersistentCopy(stream_, shared);
            launchPersistentCopy(stream_, blocks, false, read ? device_.as() : down_.device(),
                                 read ? up_.device() : second_.as(), bytes_ / 16, shared,
                                 options_.smoke ? 1000000 : 30000000);
            PersistentCopyState result;
            GPU_CALL(cudaMemcpyAsync(&result, shared, sizeof result, cudaMemcpyDeviceToHost, stream_));
            stream_.sync();
            if (s == 0) continue;
            bytes = static_cast<double>(result.bytesCopied);
            us.push_back((result.lastNs - result.firstNs) / 1e3 * (kMiB / bytes));
          }
          row.us = spreadOf(us);  // per MiB
          row.iterations = bytes / kMiB;
          row.counter("blocks", blocks);
          row.bandwidth(static_cast<double>(kMiB), gpu_.pcieGBps());
        });
      }
    }
  }

  // Copies within the device that prefer the copy engines, in several streams: the sum stops growing when all
  // are busy.
  void engines() {
    report_.fact("host_device/copy_engines", std::to_string(gpu_.copyEngines) + " reported by the driver");
    constexpr int kStreams = 4;
    Stream streams[kStreams];
    for (int count = 1; count <= kStreams; ++count) {
      report_.measure("host_device/engines_d2d/streams:" + std::to_string(count), [&](Row& row) {
        size_t part = bytes_ / kStreams;
        Event done[kStreams];
        row.us = timeOnStream(streams[0], options_.samples, 1, [&](int) {
          GPU_CALL(cudaEventRecord(fork_, streams[0]));
          for (int k = 0; k < count; ++k) {
            if (k > 0) GPU_CALL(cudaStreamWaitEvent(streams[k], fork_));
            for (int repeat = 0; repeat < 4; ++repeat)
              copyBatch({{device_.as(k * part), second_.as(k * part), part}}, true, streams[k]);
            if (k == 0) continue;
            GPU_CALL(cudaEventRecord(done[k], streams[k]));
            GPU_CALL(cudaStreamWaitEvent(streams[0], done[k]));
          }
        });
        row.iterations = count * 4;
        row.bandwidth(2.0 * part * count * 4, gpu_.hbmGBps());
      });
    }
  }

  void numaNodes() {
    int nodes = 0;
    while (nodes < 64 &&
           std::ifstream("/sys/devices/system/node/node" + std::to_string(nodes) + "/cpulist").good())
      ++nodes;
    report_.fact("host_device/numa",
                 "GPU beside node " + std::to_string(gpu_.hostNumaNode) + " of " + std::to_string(nodes));
    for (int node = 0; node < nodes && nodes > 1; ++node) {
      for (bool up : {true, false}) {
        report_.measure(
            std::string("host_device/") + (up ? "h2d" : "d2h") + "_from_numa_node:" + std::to_string(node),
            [&](Row& row) {
              size_t bytes = std::min(bytes_, 64 * kMiB);
              NumaBuffer memory(bytes, node);
              row.us = timeOnStream(stream_, options_.samples, 2, [&](int) {
                if (up)
                  GPU_CALL(
                      cudaMemcpyAsync(device_.as(), memory.data(), bytes, cudaMemcpyHostToDevice, stream_));
                else
                  GPU_CALL(
                      cudaMemcpyAsync(memory.data(), device_.as(), bytes, cudaMemcpyDeviceToHost, stream_));
              });
              row.iterations = 2;
              row.bandwidth(static_cast<double>(bytes), gpu_.pcieGBps());
            });
      }
    }
  }

  const Options& options_;
  const GpuFacts& gpu_;
  Report& report_;
  size_t bytes_;
  DeviceBuffer device_, second_;
  HostBuffer up_, down_;
  Stream stream_, otherStream_;
  Event fork_, join_;
};

}  // namespace
}  // namespace tutti::gpuperf

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options =
      Options::parse(argc, argv, "host and device: bandwidth, chunk sizes, latency, copy engines, NUMA");
  GpuFacts gpu = openGpu(options);
  Report report(options, "gpu_host_device");
  describe(report, gpu);
  try {
    HostDevicePerf(options, gpu, report).run();
  } catch (const Failure& failure) {
    Row row;
    row.name = "host_device/setup";
    row.error = failure.what();
    report.add(row);
  }
  return report.finish();
}
