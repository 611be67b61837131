// How long small things take: launches, flags between SMs, flags between GPU and CPU, waits and writes in
// streams.
#include "latency_parts.hpp"

int main(int argc, char** argv) {
  using namespace tutti::gpuperf;
  Options options =
      Options::parse(argc, argv, "latencies: launches, flags between SMs and with the CPU, stream values");
  GpuFacts gpu = openGpu(options);
  Report report(options, "gpu_latency");
  describe(report, gpu);
  measureLaunches(options, report);
  measureFlagsBetweenSms(options, gpu, report);
  measureFlagsWithCpu(options, report);
  measureStreamValues(options, report);
  return report.finish();
}
