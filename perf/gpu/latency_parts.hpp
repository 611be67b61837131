#pragma once

#include "common/gpu.hpp"
#include "common/report.hpp"

// The four parts of gpu_latency; each adds its rows and needs a selected device.
namespace tutti::gpuperf {

void measureLaunches(const Options& options, Report& report);
void measureFlagsBetweenSms(const Options& options, const GpuFacts& gpu, Report& report);
void measureFlagsWithCpu(const Options& options, Report& report);
void measureStreamValues(const Options& options, Report& report);

}  // namespace tutti::gpuperf
