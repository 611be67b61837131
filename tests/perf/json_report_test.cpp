#include "common/json_report.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tutti::perf {
namespace {

TEST(JsonReport, WritesWhatNcclTestsWrites) {
  auto folder = std::filesystem::temp_directory_path() / fmt::format("tutti_json_{}", getpid());
  std::filesystem::create_directory(folder);
  std::string path = folder / "out.json";
  std::ofstream(path) << "taken";

  char name[] = "all_reduce_perf", option[] = "-b";
  char* argv[] = {name, option};
  char kept[] = "NCCL_DEBUG=WARN", secret[] = "PASSWORD=x", job[] = "TUTTI_RENDEZVOUS_SECRET=x";
  char* environment[] = {kept, secret, job, nullptr};
  auto report = JsonReport::open(path, 2, argv, environment);
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ((*report)->path(), path + ".0") << "an existing file stays";

  Options options;
  options.perIteration = true;
  (*report)->config(options, {23203, 23203, 100}, {{0, 0, 7, "h\xff", 0, "cpu"}},
                    {.version = 100, .cpu = "cpu"});
  Row row{.bytes = 8, .count = 2, .type = "float", .op = "sum", .root = -1};
  row.outOfPlace = Measurement{.microseconds = 1.5, .algorithmGBps = 2, .busGBps = 3, .wrong = 0};
  row.outOfPlace->perIteration = Statistics{.min = 1e-6};
  row.outOfPlace->iterationSeconds = {1e-6, 2e-6};
  (*report)->row(options, row);
  ASSERT_TRUE((*report)->finish(0, 3, std::nullopt, "").ok());

  auto json = nlohmann::json::parse(std::ifstream(path + ".0"));
  EXPECT_EQ(json["version"], 3);
  EXPECT_EQ(json["args"].size(), 2u);
  ASSERT_EQ(json["env"].size(), 1u);
  EXPECT_EQ(json["env"][0], "NCCL_DEBUG=WARN");
  EXPECT_EQ(json["config"]["nthreads"], 1);
  EXPECT_EQ(json["config"]["blocking_collectives"], "false");
  EXPECT_EQ(json["config"]["devices"][0]["pid"], 7);
  const auto& result = json["results"][0];
  EXPECT_EQ(result["size"], 8);
  EXPECT_EQ(result["root"], "    -1");
  EXPECT_EQ(result["out_of_place"]["time"], 1.5);
  EXPECT_EQ(result["out_of_place"]["nwrong"], 0.0);
  EXPECT_EQ(result["out_of_place_per_iter"]["times_us"].size(), 2u);
  EXPECT_TRUE(result["in_place"].is_null());
  EXPECT_EQ(json["out_of_bounds"]["okay"], "true");
  EXPECT_EQ(json["average_bus_bandwidth"]["okay"], "unchecked");
  EXPECT_EQ(json["tutti"]["version"], 100);
  std::filesystem::remove_all(folder);
}

TEST(JsonReport, AFolderThatIsNotThereIsAnError) {
  EXPECT_FALSE(JsonReport::open("/no/such/folder/x.json", 0, nullptr, nullptr).ok());
}

}  // namespace
}  // namespace tutti::perf
