#include "core/host.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace tutti {
namespace {

TEST(Host, KnowsItself) {
  EXPECT_FALSE(hostName().empty());
  EXPECT_EQ(hostName().find('.'), std::string::npos);
  EXPECT_EQ(bootId().size(), 36u) << bootId();
}

TEST(Host, CpuCountFollowsTheAffinityMask) {
  const int all = allowedCpuCount();
  EXPECT_GE(all, 1);
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(allowedCpuCount(), 1);
  }).join();
  EXPECT_EQ(allowedCpuCount(), all);
}

TEST(Host, QuotaRoundsUp) {
  EXPECT_EQ(cpusOfQuota("200000 100000\n"), 2);
  EXPECT_EQ(cpusOfQuota("150000 100000"), 2);
  EXPECT_EQ(cpusOfQuota("50000\n 100000\n"), 1) << "version 1: two files";
  EXPECT_EQ(cpusOfQuota("max 100000"), 0);
  EXPECT_EQ(cpusOfQuota("-1\n 100000\n"), 0);
  EXPECT_EQ(cpusOfQuota(""), 0);
  EXPECT_EQ(cpusOfQuota("200000"), 0);
  EXPECT_EQ(cpusOfQuota("200000 0"), 0);
}

}  // namespace
}  // namespace tutti
