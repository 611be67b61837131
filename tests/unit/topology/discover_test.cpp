#include "topology/discover.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "machines.hpp"
#include "topology/analysis.hpp"

namespace tutti::topology {
namespace {

namespace fs = std::filesystem;

/// A machine's /sys and /proc, made of files.
class FakeMachine {
 public:
  FakeMachine() : root_(fs::temp_directory_path() / ("tutti-discover-" + std::to_string(getpid()))) {
    fs::remove_all(root_);
  }
  ~FakeMachine() { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  void link(const std::string& from, const std::string& to) {
    fs::create_directories((root_ / from).parent_path());
    fs::create_symlink(root_ / to, root_ / from);
  }
  void cpus(int count, int numaNodes) {
    write("sys/devices/system/cpu/online", "0-" + std::to_string(count - 1));
    write("sys/devices/system/node/online", numaNodes > 1 ? "0-" + std::to_string(numaNodes - 1) : "0");
    int each = count / numaNodes;
    for (int n = 0; n < numaNodes; ++n)
      write("sys/devices/system/node/node" + std::to_string(n) + "/cpulist",
            std::to_string(n * each) + "-" + std::to_string((n + 1) * each - 1));
    for (int c = 0; c < count; ++c) {
      std::string cpu = "sys/devices/system/cpu/cpu" + std::to_string(c);
      write(cpu + "/topology/physical_package_id", std::to_string(c / each));
      write(cpu + "/cache/index0/level", "3");
      write(cpu + "/cache/index0/shared_cpu_list",
            std::to_string(c / each * each) + "-" + std::to_string((c / each + 1) * each - 1));
    }
    write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n");
  }
  void pci(const std::string& path, const std::string& cls, const std::string& vendor, int numa) {
    std::string folder = "sys/devices/pci0000:00/" + path;
    write(folder + "/class", cls);
    write(folder + "/vendor", vendor);
    write(folder + "/device", "0x1234");
    write(folder + "/max_link_speed", "32.0 GT/s PCIe");
    write(folder + "/max_link_width", "16");
    write(folder + "/numa_node", std::to_string(numa));
    link("sys/bus/pci/devices/" + fs::path(path).filename().string(), folder);
  }
  std::string root() const { return root_.string(); }

 private:
  fs::path root_;
};

class FakeNvml : public NvmlDriver {
 public:
  std::vector<NvmlGpu> list;
  Result<std::vector<NvmlGpu>> gpus() override { return list; }
};
class FakeVerbs : public VerbsDriver {
 public:
  bool works = true;
  Result<std::vector<std::string>> devices() override {
    if (!works) return makeError(Code::SystemError, "libibverbs.so.1 cannot be opened");
    return std::vector<std::string>{"mlx5_0"};
  }
};

NvmlGpu gpu(const std::string& bus, int index) {
  NvmlGpu g;
  g.busId = bus;
  g.index = index;
  g.sm = 90;
  for (int l = 0; l < 18; ++l) g.links.push_back({"", NvmlGpu::Peer::Switch, 4});
  return g;
}

class GpuMachine : public ::testing::Test {
 protected:
  GpuMachine() {
    machine_.cpus(4, 2);
    machine_.pci("0000:00:01.0", "0x060400", "0x8086", 0);
    machine_.pci("0000:00:01.0/0000:01:00.0", "0x060400", "0x1000", 0);
    machine_.pci("0000:00:01.0/0000:01:00.0/0000:02:00.0", "0x060400", "0x1000", 0);
    machine_.pci("0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0", "0x030200", "0x10de", 0);
    machine_.pci("0000:00:01.0/0000:01:00.0/0000:02:01.0", "0x060400", "0x1000", 0);
    machine_.pci("0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:04:00.0", "0x020700", "0x15b3", 0);
    machine_.pci("0000:00:02.0", "0x060400", "0x8086", 1);
    machine_.pci("0000:00:02.0/0000:05:00.0", "0x030200", "0x10de", 1);
    const std::string device = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:04:00.0";
    machine_.write("sys/class/infiniband/mlx5_0/node_guid", "1070:fd03:0012:3456");
    machine_.link("sys/class/infiniband/mlx5_0/device", device);
    machine_.write("sys/class/infiniband/mlx5_0/ports/1/rate", "400 Gb/sec (4X NDR)");
    machine_.write("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE");
    machine_.write("sys/class/infiniband/mlx5_0/ports/1/link_layer", "InfiniBand");
    machine_.write(device + "/net/ib0/operstate", "up");
    machine_.write("sys/class/net/ib0/operstate", "up");
    machine_.link("sys/class/net/ib0/device", device);
    options_.root = machine_.root();
    options_.nvml = &nvml_;
    options_.verbs = &verbs_;
    nvml_.list = {gpu("0000:03:00.0", 0), gpu("0000:05:00.0", 1)};
  }

  Topology discovered() {
    auto t = discover(options_);
    EXPECT_TRUE(t.ok()) << (t.ok() ? "" : t.error().message());
    return t.ok() ? std::move(t).value() : Topology();
  }

  FakeMachine machine_;
  FakeNvml nvml_;
  FakeVerbs verbs_;
  DiscoverOptions options_;
};

TEST_F(GpuMachine, BecomesWhatNcclWouldWrite) {
  Topology t = discovered();
  ASSERT_EQ(t.graph.ranks.size(), 2u);
  ASSERT_EQ(t.graph.nets.size(), 1u);
  EXPECT_DOUBLE_EQ(t.graph.nodes[t.graph.nets[0]].netGbps, 50);
  EXPECT_EQ(t.graph.nodes[t.graph.nets[0]].asic, 0x1070fd0300123456u);
  Paths paths(t.graph, {});
  EXPECT_EQ(paths.between(t.graph.ranks[0], t.graph.ranks[1]).type, PathType::Nvl);
  EXPECT_NEAR(paths.between(t.graph.ranks[0], t.graph.ranks[1]).gbps, 370.8, 1e-9);
  // The switch's upstream port stands for the switch: GPU and NIC below it are one switch apart.
  int nic = t.graph.nets[0];
  bool near = false;
  for (const Node& n : t.graph.nodes)
    near = near || (n.type == NodeType::Pci && n.name == "PCI 0000:01:00.0");
  EXPECT_TRUE(near);
  (void)nic;
  auto again = readTopologyText(writeXml(t.xml), "again");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->graph.hash(), t.graph.hash());
}

TEST_F(GpuMachine, SaysWhatIsNotVisible) {
  nvml_.list.pop_back();
  Topology t = discovered();
  EXPECT_EQ(t.graph.ranks.size(), 1u);
  bool said = false;
  for (const std::string& w : t.graph.warnings) said = said || w.find("1 of 2 GPUs") != std::string::npos;
  EXPECT_TRUE(said);
}

TEST_F(GpuMachine, WithoutVerbsTheEthernetInterfaceIsUsed) {
  verbs_.works = false;
  Topology t = discovered();
  ASSERT_EQ(t.graph.nets.size(), 1u);
  EXPECT_EQ(t.graph.nodes[t.graph.nets[0]].name, "ib0");
}

TEST_F(GpuMachine, CompletesBareFiles) {
  auto file = readTopologyText(
      "<system version=\"1\"><cpu numaid=\"0\" arch=\"x86_64\" vendor=\"GenuineIntel\" familyid=\"6\" "
      "modelid=\"143\"><pci busid=\"ffff:ff:01.0\" class=\"0x060400\" "
      "link_speed=\"32.0 GT/s PCIe\" link_width=\"16\"><pci busid=\"0000:03:00.0\" class=\"0x030200\"/><pci "
      "busid=\"0000:04:00.0\" class=\"0x020700\"/></pci></cpu></system>",
      "bare");
  ASSERT_TRUE(file.ok());
  completeFromProbe(file->xml, discovered().xml);
  auto graph = graphFromNcclXml(file->xml, "bare");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  ASSERT_EQ(graph->ranks.size(), 1u);
  EXPECT_EQ(graph->nodes[graph->ranks[0]].sm, 90);
  ASSERT_EQ(graph->nets.size(), 1u);
  EXPECT_EQ(graph->nodes[graph->nets[0]].name, "mlx5_0");
}

TEST(Discover, HostMachinesHaveRanksOnCores) {
  FakeMachine machine;
  machine.cpus(8, 2);
  DiscoverOptions options;
  options.root = machine.root();
  options.allowedCpus = {0, 1, 4, 5};
  auto t = discover(options);
  ASSERT_TRUE(t.ok()) << t.error().message();
  EXPECT_TRUE(t->graph.hostRanks);
  EXPECT_EQ(t->graph.ranks.size(), 4u);
  bool limited = false;
  for (const std::string& w : t->graph.warnings)
    limited = limited || w.find("4 of the machine's 8 CPUs") != std::string::npos;
  EXPECT_TRUE(limited);
  auto a = analyse(t->graph, {}, 1, true);
  ASSERT_TRUE(a.ok()) << a.error().message();
  // A ring over two sockets crosses between them once each way.
  for (const ChannelGraph& g : a->graphs) {
    if (g.pattern != Pattern::Ring) continue;
    int crossings = 0;
    for (size_t i = 0; i < 4; ++i)
      crossings += (g.orders[0][i] < 2) != (g.orders[0][(i + 1) % 4] < 2) ? 1 : 0;
    EXPECT_EQ(crossings, 2);
  }
}

bool anyHas(const std::vector<std::string>& lines, const std::string& what) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(what) != std::string::npos; });
}

TEST(Discover, ContainersSeeTheirPartAndWhy) {
  for (bool v2 : {true, false}) {
    FakeMachine machine;
    machine.cpus(8, 2);
    if (v2) {
      machine.write("proc/self/cgroup", "0::/box/inner");
      machine.write("sys/fs/cgroup/box/cpuset.cpus.effective", "0-1,5");
      machine.write("sys/fs/cgroup/box/cpu.max", "150000 100000");
    } else {
      machine.write("proc/self/cgroup", "3:cpuset:/box\n2:cpu,cpuacct:/box");
      machine.write("sys/fs/cgroup/cpuset/box/cpuset.effective_cpus", "0-1,5");
      machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "150000");
      machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
    }
    DiscoverOptions options;
    options.root = machine.root();
    auto t = discover(options);
    ASSERT_TRUE(t.ok()) << t.error().message();
    EXPECT_EQ(t->graph.ranks.size(), 3u) << v2;
    EXPECT_TRUE(anyHas(t->graph.warnings, "3 of the machine's 8 CPUs (" + machine.root() + "/sys/fs/cgroup"))
        << v2;
    EXPECT_TRUE(anyHas(t->graph.warnings, "1.5 CPUs' worth of time")) << v2;
  }
}

TEST(Discover, BondsAndVlansNameTheNicsBelow) {
  FakeMachine machine;
  machine.cpus(2, 1);
  for (int n : {0, 1}) {
    const std::string bus = "0000:0" + std::to_string(n + 1) + ":00.0";
    const std::string name = "eth" + std::to_string(n);
    machine.pci(bus, "0x020000", "0x15b3", 0);
    machine.write("sys/devices/pci0000:00/" + bus + "/net/" + name + "/operstate", "up");
    machine.write("sys/class/net/" + name + "/operstate", "up");
    machine.write("sys/class/net/" + name + "/speed", "25000");
    machine.write("sys/class/net/" + name + "/upper_bond0", "");
    machine.link("sys/class/net/" + name + "/device", "sys/devices/pci0000:00/" + bus);
    machine.write("sys/class/net/bond0/lower_" + name, "");
  }
  machine.write("sys/class/net/bond0/operstate", "up");
  machine.write("sys/class/net/bond0/speed", "50000");
  machine.write("sys/class/net/bond0/uevent", "DEVTYPE=bond\nINTERFACE=bond0");
  machine.write("sys/class/net/bond0.7/operstate", "up");
  machine.write("sys/class/net/bond0.7/uevent", "DEVTYPE=vlan\nINTERFACE=bond0.7");
  machine.write("sys/class/net/bond0.7/lower_bond0", "");
  DiscoverOptions options;
  options.root = machine.root();
  auto t = discover(options);
  ASSERT_TRUE(t.ok()) << t.error().message();
  ASSERT_EQ(t->graph.nets.size(), 2u) << "the real NICs, each once";
  EXPECT_TRUE(anyHas(t->graph.seen, "bond0: up, 50 Gb/s, bond, over eth0, eth1"));
  EXPECT_TRUE(anyHas(t->graph.seen, "bond0.7: up, speed not known, vlan, over eth0, eth1"));
  EXPECT_TRUE(anyHas(t->graph.seen, "eth0: up, 25 Gb/s, PCI 0000:01:00.0"));
  EXPECT_TRUE(anyHas(t->graph.seen, "RDMA: no device in sysfs"));
  EXPECT_NE(writeXml(t->xml).find("carries=\"bond0\""), std::string::npos);
}

TEST(Discover, OnlyVirtualInterfacesAreUsedAndSaidToBe) {
  FakeMachine machine;
  machine.cpus(2, 1);
  machine.write("sys/class/net/eth0/operstate", "up");
  machine.write("sys/class/net/eth0/speed", "10000");
  DiscoverOptions options;
  options.root = machine.root();
  auto t = discover(options);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->graph.nets.size(), 1u);
  EXPECT_TRUE(anyHas(t->graph.seen, "eth0: up, 10 Gb/s, virtual: which NIC lies below cannot be seen"));
}

TEST(Discover, SoftRoceIsFoundBesideItsInterface) {
  FakeMachine machine;
  machine.cpus(2, 1);
  machine.pci("0000:01:00.0", "0x020000", "0x1af4", 0);
  machine.write("sys/devices/pci0000:00/0000:01:00.0/net/eth0/operstate", "up");
  machine.write("sys/class/net/eth0/operstate", "up");
  machine.link("sys/class/net/eth0/device", "sys/devices/pci0000:00/0000:01:00.0");
  const std::string rxe = "sys/class/infiniband/rxe0";
  machine.write(rxe + "/node_guid", "0202:0aff:fe00:0001");
  machine.write(rxe + "/parent", "eth0");
  machine.write(rxe + "/ports/1/rate", "2.5 Gb/sec (1X SDR)");
  machine.write(rxe + "/ports/1/state", "4: ACTIVE");
  machine.write(rxe + "/ports/1/link_layer", "Ethernet");
  machine.write(rxe + "/ports/1/gids/0", "fe80:0000:0000:0000:0000:0aff:fe00:0001");
  machine.write(rxe + "/ports/1/gids/1", "0000:0000:0000:0000:0000:ffff:0a00:0001");
  machine.write(rxe + "/ports/1/gids/2", "0000:0000:0000:0000:0000:0000:0000:0000");
  machine.write(rxe + "/ports/1/gid_attrs/types/0", "IB/RoCE v1");
  machine.write(rxe + "/ports/1/gid_attrs/types/1", "RoCE v2");
  FakeVerbs verbs;
  DiscoverOptions options;
  options.root = machine.root();
  options.verbs = &verbs;
  auto t = discover(options);
  ASSERT_TRUE(t.ok()) << t.error().message();
  ASSERT_EQ(t->graph.nets.size(), 1u) << "one wire";
  EXPECT_EQ(t->graph.nodes[t->graph.nets[0]].name, "rxe0");
  EXPECT_TRUE(anyHas(t->graph.seen,
                     "rxe0 port 1: up, 2.5 Gb/s, Ethernet, 2 GID(s), 1 of them RoCE v2, PCI 0000:01:00.0"));
  EXPECT_TRUE(anyHas(t->graph.seen, "RDMA: 1 device(s) by libibverbs"));
}

TEST(Discover, ThisMachine) {
  auto t = discover();
  ASSERT_TRUE(t.ok()) << t.error().message();
  EXPECT_FALSE(t->graph.ranks.empty());
  auto a = analyse(t->graph, {}, 2, true);
  EXPECT_TRUE(a.ok()) << a.error().message();
}

}  // namespace
}  // namespace tutti::topology
