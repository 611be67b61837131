// Launches: by stream and by graph, as the host pays for them and as the device sees them.
#include "common/device.cuh"
#include "common/failure.hpp"
#include "common/timing.hpp"
#include "latency_parts.hpp"

namespace tutti::gpuperf {
namespace {

__global__ void empty() {}

__global__ void storeFlag(uint32_t* flag, uint32_t value) {
  storeReleaseSys(flag, value);
}

void launchEmpty(cudaStream_t stream) {
  empty<<<1, 32, 0, stream>>>();
  checkLaunch("empty");
}

// A graph of `kernels` empty kernels one after the other.
class EmptyGraph {
 public:
  EmptyGraph(cudaStream_t stream, int kernels) {
    GPU_CALL(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < kernels; ++i) launchEmpty(stream);
    GPU_CALL(cudaStreamEndCapture(stream, &graph_));
    GPU_CALL(cudaGraphInstantiate(&exec_, graph_, 0));
    GPU_CALL(cudaGraphUpload(exec_, stream));
    GPU_CALL(cudaStreamSynchronize(stream));
  }
  ~EmptyGraph() {
    if (exec_ != nullptr) (void)cudaGraphExecDestroy(exec_);
    if (graph_ != nullptr) (void)cudaGraphDestroy(graph_);
  }
  void launch(cudaStream_t stream) { GPU_CALL(cudaGraphLaunch(exec_, stream)); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
};

// From just before the launch call to the CPU seeing what the kernel stored in host memory.
void timeToFirstStore(Row& row, int samples, cudaStream_t stream) {
  HostBuffer flag(sizeof(uint32_t));
  uint32_t value = 0;
  row.us = timeOnHost(20, samples, [&] {
    ++value;
    storeFlag<<<1, 1, 0, stream>>>(flag.device<uint32_t>(), value);
    checkLaunch("storeFlag");
    double deadline = nowUs() + 1e6;
    while (__atomic_load_n(flag.host<uint32_t>(), __ATOMIC_ACQUIRE) != value)
      if (nowUs() > deadline) throw Failure("the kernel's store did not reach the CPU within a second");
  });
  row.iterations = 1;
  GPU_CALL(cudaStreamSynchronize(stream));
}

}  // namespace

void measureLaunches(const Options& options, Report& report) {
  int samples = options.smoke ? 3 : 500;
  int burst = options.smoke ? 8 : 256;

  report.measure("latency/launch/stream/to_completion", [&](Row& row) {
    Stream stream;
    row.us = timeOnHost(20, samples, [&] {
      launchEmpty(stream);
      stream.sync();
    });
    row.iterations = 1;
  });
  report.measure("latency/launch/stream/to_first_store", [&](Row& row) {
    Stream stream;
    timeToFirstStore(row, samples, stream);
  });
  report.measure("latency/launch/stream/host_cost", [&](Row& row) {
    Stream stream;
    std::vector<double> us;
    for (int s = 0; s < options.samples + 1; ++s) {
      double start = nowUs();
      for (int i = 0; i < burst; ++i) launchEmpty(stream);
      double took = nowUs() - start;
      stream.sync();
      if (s > 0) us.push_back(took / burst);
    }
    row.us = spreadOf(us);
    row.iterations = burst;
  });
  report.measure("latency/launch/stream/back_to_back", [&](Row& row) {
    Stream stream;
    row.us = timeOnStream(stream, options.samples, burst, [&](int) { launchEmpty(stream); });
    row.iterations = burst;
  });
  // Each hop: a kernel, an event, the other stream's wait for it.
  report.measure("latency/launch/stream/hop_by_event", [&](Row& row) {
    Stream a, b;
    cudaEvent_t hop;
    GPU_CALL(cudaEventCreateWithFlags(&hop, cudaEventDisableTiming));
    int rounds = burst / 4;
    row.us = timeOnStream(a, options.samples, rounds, [&](int) {
      launchEmpty(a);
      GPU_CALL(cudaEventRecord(hop, a));
      GPU_CALL(cudaStreamWaitEvent(b, hop));
      launchEmpty(b);
      GPU_CALL(cudaEventRecord(hop, b));
      GPU_CALL(cudaStreamWaitEvent(a, hop));
    });
    for (double* value : {&row.us.median, &row.us.min, &row.us.max}) *value /= 2;
    row.iterations = rounds * 2;
    (void)cudaEventDestroy(hop);
  });
  report.measure("latency/launch/graph/to_completion", [&](Row& row) {
    Stream stream;
    EmptyGraph graph(stream, 1);
    row.us = timeOnHost(20, samples, [&] {
      graph.launch(stream);
      stream.sync();
    });
    row.iterations = 1;
  });
  report.measure("latency/launch/graph/host_cost", [&](Row& row) {
    Stream stream;
    EmptyGraph graph(stream, 1);
    row.us = timeOnHost(20, samples, [&] { graph.launch(stream); });
    row.iterations = 1;
    stream.sync();
  });
  report.measure("latency/launch/graph/per_kernel_of_100", [&](Row& row) {
    Stream stream;
    EmptyGraph graph(stream, 100);
    row.us = timeOnStream(stream, options.samples, 4, [&](int) { graph.launch(stream); });
    for (double* value : {&row.us.median, &row.us.min, &row.us.max}) *value /= 100;
    row.iterations = 400;
  });
}

}  // namespace tutti::gpuperf
