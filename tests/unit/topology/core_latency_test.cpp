#include "topology/core_latency.hpp"

#include <gtest/gtest.h>

#include "topology/host_cores.hpp"

namespace tutti::topology {
namespace {

TEST(CoreLatency, IsMeasuredOrSaidWhyNot) {
  HostCores cores = probeHostCores();
  if (cores.cores.size() < 2) GTEST_SKIP() << "one core";
  auto l = measureCoreLatency(cores.cores[0].cpu, cores.cores[1].cpu, 1);
  if (!l.ok()) {
    EXPECT_EQ(l.error().code(), Code::Timeout) << l.error().message();
    return;
  }
  EXPECT_GT(l->oneWayNs, 0);
}

TEST(CoreLatency, ACpuThatIsNotThereIsAnError) {
  HostCores cores = probeHostCores();
  EXPECT_FALSE(measureCoreLatency(cores.cores[0].cpu, 60000, 1).ok());
}

}  // namespace
}  // namespace tutti::topology
