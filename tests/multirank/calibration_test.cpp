// Ranks that find different calibrations, or broken ones, choose alike: rank 0's holds for all.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <tutti/tutti.h>

#include <filesystem>
#include <fstream>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

/// What each rank would choose for a row of sizes, summed up over the ranks: equal on all.
std::string sameChoices(int rank, int n, ncclComm_t comm) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t count = 2; count <= size_t{4} << 20; count *= 2) {
    char choice[256];
    RANK_TRY(tuttiExplain(comm, "AllReduce", count, ncclFloat32, ncclSum, choice, sizeof(choice)));
    for (const char* c = choice; *c != 0; ++c) hash = (hash ^ static_cast<unsigned char>(*c)) * 0x100000001b3;
  }
  std::vector<uint64_t> all(n);
  RANK_TRY(ncclAllGather(&hash, all.data(), 1, ncclUint64, comm, nullptr));
  for (int r = 0; r < n; ++r)
    if (all[r] != hash) return "rank " + std::to_string(r) + " would choose differently";
  for (size_t count : {size_t{1}, size_t{3000}, size_t{300'001}}) {
    ops::Operation o;
    o.kind = ops::Kind::AllReduce;
    o.count = count;
    ops::Part part(o, rank, n);
    RANK_TRY(part.issue(comm));
    if (std::string wrong = part.check(); !wrong.empty()) return wrong;
  }
  ncclComm_t half;
  RANK_TRY(ncclCommSplit(comm, rank % 2, -rank, &half, nullptr));  // the last ranks become the first
  std::vector<float> sum(100, 1.0f);
  RANK_TRY(ncclAllReduce(sum.data(), sum.data(), sum.size(), ncclFloat32, ncclSum, half, nullptr));
  RANK_TRY(ncclCommDestroy(half));
  return "";
}

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tutti_calibration_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void useFolder(const std::string& path) {
  setenv("TUTTI_CACHE_DIR", path.c_str(), 1);
  setenv("TUTTI_CALIBRATE", "1", 1);
  tuttiParamsReload();
}

TEST(A_Calibration, RanksWithCachesOfTheirOwn) {
  Folder folder;
  for (int round = 0; round < 2; ++round) {  // measured, then read
    EXPECT_EQ(ranks::asProcesses(4, sameChoices, -1,
                                 [&](int rank) { useFolder(folder.path() + "/" + std::to_string(rank)); }),
              "");
  }
}

TEST(A_Calibration, OneRankTurnsItOff) {
  Folder folder;
  for (int off : {0, 1}) {
    EXPECT_EQ(ranks::asProcesses(4, sameChoices, -1,
                                 [&](int rank) {
                                   useFolder(folder.path());
                                   if (rank == off) setenv("TUTTI_CALIBRATE", "0", 1);
                                   tuttiParamsReload();
                                 }),
              "");
  }
}

TEST(A_Calibration, BrokenFilesAndFolders) {
  Folder folder;
  const std::string file = folder.path() + "/broken";
  std::ofstream(file) << "format=1\nmachine=none\ncopyL2=1e300\n";
  for (int broken : {0, 1}) {
    EXPECT_EQ(ranks::asProcesses(4, sameChoices, -1,
                                 [&](int rank) {
                                   useFolder(folder.path());
                                   if (rank == broken) setenv("TUTTI_CALIBRATION_FILE", file.c_str(), 1);
                                   if (rank == 2) setenv("TUTTI_CALIBRATION_FILE", "/proc/nowhere/file", 1);
                                   tuttiParamsReload();
                                 }),
              "");
  }
}

TEST(B_Calibration, Threads) {
  Folder folder;
  ranks::Settings settings({{"TUTTI_CACHE_DIR", folder.path()}, {"TUTTI_CALIBRATE", "1"}});
  EXPECT_EQ(ranks::asThreads(3, sameChoices), "");
}

}  // namespace
