#include "topology/host_cores.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tutti::topology {
namespace {

namespace fs = std::filesystem;

class FakeSysfs {
 public:
  FakeSysfs() {
    root_ = fs::temp_directory_path() / ("tutti-topology-" + std::to_string(getpid()));
    fs::remove_all(root_);
  }
  ~FakeSysfs() { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::path full = root_ / "sys/devices/system" / path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text << "\n";
  }
  std::string root() const { return root_.string(); }

 private:
  fs::path root_;
};

TEST(ParseCpuList, ReadsRangesAndSingles) {
  EXPECT_EQ(*parseCpuList("0-3,8,10-11"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(*parseCpuList(""), std::vector<int>{});
  EXPECT_EQ(*parseCpuList("5,5,4"), (std::vector<int>{4, 5}));
}

TEST(ParseCpuList, RefusesNonsense) {
  for (const char* text : {"a", "3-1", "-1", "1-", "1,,2", "0-99999999999", "70000"})
    EXPECT_FALSE(parseCpuList(text).ok()) << text;
}

TEST(HostCores, GroupsByCacheNumaAndPackage) {
  FakeSysfs sys;
  sys.write("cpu/online", "0-7");
  sys.write("node/online", "0-1");
  sys.write("node/node0/cpulist", "0-3");
  sys.write("node/node1/cpulist", "4-7");
  for (int c = 0; c < 8; ++c) {
    std::string cpu = "cpu/cpu" + std::to_string(c);
    sys.write(cpu + "/topology/physical_package_id", std::to_string(c / 4));
    int low = c / 2 * 2;
    sys.write(cpu + "/topology/thread_siblings_list", std::to_string(low) + "-" + std::to_string(low + 1));
    sys.write(cpu + "/cache/index0/level", "1");
    sys.write(cpu + "/cache/index0/type", "Data");
    sys.write(cpu + "/cache/index0/shared_cpu_list", std::to_string(low) + "-" + std::to_string(low + 1));
    sys.write(cpu + "/cache/index1/level", "3");
    sys.write(cpu + "/cache/index1/type", "Unified");
    sys.write(cpu + "/cache/index1/shared_cpu_list", c < 4 ? "0-3" : "4-7");
  }
  HostCores cores = probeHostCores(sys.root(), {1, 2, 5, 9});
  ASSERT_EQ(cores.cores.size(), 3u);  // 9 is not online
  EXPECT_EQ(cores.l3Groups, 2);
  EXPECT_EQ(cores.numaNodes, 2);
  EXPECT_EQ(cores.packages, 2);
  EXPECT_EQ(cores.find(1)->coreId, 0);
  EXPECT_EQ(cores.find(5)->numa, 1);
  EXPECT_EQ(cores.find(7), nullptr);
  EXPECT_EQ(HostCores::distance(*cores.find(1), *cores.find(2)), 2);
  EXPECT_EQ(HostCores::distance(*cores.find(1), *cores.find(5)), 5);
  EXPECT_TRUE(cores.warnings.empty());
}

TEST(HostCores, SaysWhatItCouldNotRead) {
  HostCores cores = probeHostCores("/nonexistent", {0, 1});
  ASSERT_EQ(cores.cores.size(), 2u);
  EXPECT_EQ(cores.l3Groups, 1);
  EXPECT_FALSE(cores.warnings.empty());
}

TEST(HostCores, ThisMachineHasACore) {
  HostCores cores = probeHostCores();
  ASSERT_FALSE(cores.cores.empty());
  EXPECT_GE(cores.l3Groups, 1);
}

}  // namespace
}  // namespace tutti::topology
