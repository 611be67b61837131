// Communicators and the machines they run on: the order of ranks, files given and written, and ranks that
// were told different things.
#include <gtest/gtest.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

namespace fs = std::filesystem;

class TopologyTest : public ::testing::Test {
 protected:
  TopologyTest() : folder_(fs::temp_directory_path() / ("tutti-topology-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~TopologyTest() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return path(name);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string contents(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }

 private:
  fs::path folder_;
};

using TopologyTwoHosts = TopologyTest;
using TopologyFiles = TopologyTest;
using TopologyDisagreement = TopologyTest;

void give(const std::string& name, const std::string& value) {
  setenv(name.c_str(), value.c_str(), 1);
  tuttiParamsReload();
}

std::string collectivesWork(int rank, int n, ncclComm_t comm) {
  for (ops::Kind kind : ops::kCollectives) {
    for (size_t count : {size_t{3}, size_t{40000}}) {
      ops::Operation o;
      o.kind = kind;
      o.count = count;
      o.root = n - 1;
      ops::Part part(o, rank, n);
      RANK_TRY(part.issue(comm));
      if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    }
  }
  return "";
}

/// A machine of `gpus` GPUs on one switch, as NCCL would describe it.
std::string switchedMachine(int gpus, int count) {
  std::string text =
      "<system version=\"1\"><cpu numaid=\"0\" affinity=\"3\" arch=\"x86_64\" vendor=\"AuthenticAMD\" "
      "familyid=\"25\" modelid=\"1\">\n";
  for (int g = 0; g < gpus; ++g)
    text += "<pci busid=\"0000:0" + std::to_string(g + 1) +
            ":00.0\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"><gpu dev=\"" +
            std::to_string(g) + "\" sm=\"90\" rank=\"" + std::to_string(g) +
            "\" gdr=\"1\"><nvlink target=\"fffffff:ffff:ff\" count=\"" + std::to_string(count) +
            "\" tclass=\"0x068000\"/></gpu></pci>\n";
  return text + "</cpu></system>\n";
}

TEST_F(TopologyTwoHosts, RingsGoHostByHost) {
  // Ranks dealt to two hosts in turn; each algorithm once in that order.
  for (const char* algorithm : {"", "ring", "tree"}) {
    const std::string log = path(std::string("log") + algorithm);
    const std::string complaints = ranks::asProcesses(5, collectivesWork, -1, [&](int rank) {
      if (rank % 2 != 0) give("NCCL_HOSTID", "odd");
      give("NCCL_SOCKET_IFNAME", "lo");
      if (*algorithm != 0)
        give("NCCL_ALGO",
             std::string("allreduce:") + algorithm + ";broadcast:" + algorithm + ";reduce:" + algorithm);
      if (rank == 0) {
        give("NCCL_DEBUG", "INFO");
        give("NCCL_DEBUG_SUBSYS", "GRAPH");
        give("NCCL_DEBUG_FILE", log);
        ncclResetDebugInit();
      }
    });
    EXPECT_EQ(complaints, "") << algorithm;
    const std::string text = contents(std::string("log") + algorithm);
    EXPECT_NE(text.find("Channel 00/01 : 0 2 4 1 3"), std::string::npos) << text;
    EXPECT_NE(text.find("Ring 00 : 3 -> 0 -> 2"), std::string::npos) << text;
    EXPECT_NE(text.find("=== System : maxBw"), std::string::npos) << text;
    EXPECT_NE(text.find("Pattern 4, crossNic"), std::string::npos) << text;
    EXPECT_NE(text.find("Trees [0]"), std::string::npos) << text;
  }
}

TEST_F(TopologyTwoHosts, OfDifferentKindsHoldTheSameGraph) {
  const std::string machine = file("dgx.xml", switchedMachine(4, 18));
  EXPECT_EQ(ranks::asProcesses(4, collectivesWork, -1,
                               [&](int rank) {
                                 if (rank >= 2) give("NCCL_HOSTID", "b");
                                 if (rank >= 2) give("NCCL_TOPO_FILE", machine);
                               }),
            "");
}

TEST_F(TopologyTwoHosts, FabricFileOfRankZeroOrdersThem) {
  const std::string fabric = file("fabric.json", "{\"hosts\": {}, \"oversubscription\": 2}");
  EXPECT_EQ(ranks::asProcesses(4, collectivesWork, -1,
                               [&](int rank) {
                                 if (rank % 2 != 0) give("NCCL_HOSTID", "b");
                                 if (rank == 0) give("TUTTI_FABRIC_FILE", fabric);
                               }),
            "");
}

TEST_F(TopologyFiles, GraphFileDecidesTheRing) {
  const std::string machine = file("machine.xml", switchedMachine(4, 18));
  const std::string graph = file(
      "graph.xml",
      "<graphs version=\"1\"><graph id=\"0\" pattern=\"4\" crossnic=\"0\" nchannels=\"1\" speedintra=\"20\" "
      "speedinter=\"20\" typeintra=\"NVL\" typeinter=\"PIX\" samechannels=\"1\"><channel><gpu dev=\"0\"/>"
      "<gpu dev=\"2\"/><gpu dev=\"1\"/><gpu dev=\"3\"/></channel></graph></graphs>");
  EXPECT_EQ(ranks::asProcesses(4, collectivesWork, -1,
                               [&](int rank) {
                                 give("NCCL_TOPO_FILE", machine);
                                 give("NCCL_GRAPH_FILE", graph);
                                 give("NCCL_TOPO_DUMP_FILE", path("topo-dump.xml"));
                                 give("NCCL_GRAPH_DUMP_FILE", path("graph-dump.xml"));
                                 give("NCCL_TOPO_DUMP_FILE_RANK", "2");
                                 give("NCCL_GRAPH_DUMP_FILE_RANK", "1");
                                 if (rank != 1) return;
                                 give("NCCL_DEBUG", "INFO");
                                 give("NCCL_DEBUG_SUBSYS", "GRAPH");
                                 give("NCCL_DEBUG_FILE", path("log"));
                                 ncclResetDebugInit();
                               }),
            "");
  EXPECT_NE(contents("log").find("Ring 00 : 2 -> 1 -> 3"), std::string::npos) << contents("log");
  EXPECT_NE(contents("topo-dump.xml").find("<nvlink target=\"fffffff:ffff:ff\" count=\"18\""),
            std::string::npos);
  const std::string dumped = contents("graph-dump.xml");
  EXPECT_NE(dumped.find("pattern=\"4\""), std::string::npos) << dumped;
  EXPECT_LT(dumped.find("dev=\"2\""), dumped.find("dev=\"1\"")) << dumped;
}

TEST_F(TopologyFiles, AMissingTopologyFileIsToldAndTheMachineProbed) {
  EXPECT_EQ(ranks::asProcesses(3, collectivesWork, -1,
                               [&](int) { give("NCCL_TOPO_FILE", path("is-not-there.xml")); }),
            "");
}

TEST_F(TopologyDisagreement, DifferentFilesAndSettingsNeitherHangNorDiverge) {
  const std::string a = file("a.xml", switchedMachine(4, 18));
  const std::string b = file("b.xml", switchedMachine(4, 6));
  EXPECT_EQ(ranks::asProcesses(4, collectivesWork, -1,
                               [&](int rank) {
                                 if (rank > 0) give("NCCL_TOPO_FILE", rank % 2 == 0 ? a : b);
                                 if (rank == 1) give("NCCL_MIN_NCHANNELS", "4");
                                 if (rank == 2) give("NCCL_P2P_LEVEL", "PIX");
                                 if (rank == 3) give("NCCL_CROSS_NIC", "0");
                                 if (rank == 2) give("NCCL_IGNORE_CPU_AFFINITY", "1");
                                 if (rank == 1) give("NCCL_NET_GDR_LEVEL", "SYS");
                               }),
            "");
}

TEST_F(TopologyDisagreement, AMalformedFileOfOneRankIsAnErrorOnAllThatNamesIt) {
  const std::string broken = file("broken.xml", "<system version=\"1\"><cpu");
  const std::string complaints = ranks::asProcesses(3, collectivesWork, -1, [&](int rank) {
    if (rank == 1) give("NCCL_TOPO_FILE", broken);
  });
  for (int rank = 0; rank < 3; ++rank)
    EXPECT_NE(complaints.find("rank " + std::to_string(rank) + ": ncclCommInitRank"), std::string::npos)
        << complaints;
  EXPECT_NE(complaints.find("rank 1 cannot use the topology files"), std::string::npos) << complaints;
}

TEST_F(TopologyDisagreement, AGraphFileForAnotherMachineIsAnErrorOnAll) {
  const std::string machine = file("machine.xml", switchedMachine(3, 18));
  const std::string graph =
      file("graph.xml",
           "<graphs version=\"1\"><graph id=\"0\" pattern=\"4\" crossnic=\"0\" "
           "nchannels=\"1\" speedintra=\"20\" speedinter=\"20\"><channel><gpu dev=\"0\"/>"
           "<gpu dev=\"7\"/></channel></graph></graphs>");
  const std::string complaints = ranks::asProcesses(3, collectivesWork, -1, [&](int) {
    give("NCCL_TOPO_FILE", machine);
    give("NCCL_GRAPH_FILE", graph);
  });
  for (int rank = 0; rank < 3; ++rank)
    EXPECT_NE(complaints.find("rank " + std::to_string(rank) + ": ncclCommInitRank"), std::string::npos)
        << complaints;
  EXPECT_NE(complaints.find("NCCL_GRAPH_FILE"), std::string::npos) << complaints;
}

}  // namespace
