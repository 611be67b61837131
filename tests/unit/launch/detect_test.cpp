#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "launch/launch.hpp"
#include "launch/slurm.hpp"

namespace tutti::launch {
namespace {

using Variables = std::map<std::string, std::string>;

Environment from(const Variables& variables) {
  return [&variables](const char* name) {
    auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

void expectWorld(const Variables& variables, const World& expected) {
  auto world = detect(from(variables));
  ASSERT_TRUE(world.ok()) << world.error().message();
  EXPECT_EQ(world->rank, expected.rank);
  EXPECT_EQ(world->size, expected.size);
  EXPECT_EQ(world->localRank, expected.localRank);
  EXPECT_EQ(world->localSize, expected.localSize);
  EXPECT_EQ(world->launcher, expected.launcher);
}

std::string detectError(const Variables& variables) {
  auto world = detect(from(variables));
  return world.ok() ? "no error" : world.error().message();
}

TEST(Detect, NothingIsOneRank) {
  expectWorld({}, {0, 1, 0, 1, "none"});
  expectWorld({{"TUTTI_RANK", ""}, {"RANK", ""}}, {0, 1, 0, 1, "none"});
  // RANK alone is anybody's variable.
  expectWorld({{"RANK", "3"}}, {0, 1, 0, 1, "none"});
}

TEST(Detect, TuttiRun) {
  Variables run = {{"TUTTI_RANK", "2"},       {"TUTTI_SIZE", "4"},       {"TUTTI_LOCAL_RANK", "2"},
                   {"TUTTI_LOCAL_SIZE", "4"}, {"TUTTI_RENDEZVOUS", "x"}, {"SLURM_PROCID", "0"},
                   {"SLURM_NTASKS", "1"}};
  expectWorld(run, {2, 4, 2, 4, "tutti run"});
  expectWorld({{"TUTTI_RANK", "1"}, {"TUTTI_SIZE", "2"}}, {1, 2, 1, 2, "environment"});
}

TEST(Detect, Torchrun) {
  Variables run = {{"RANK", "5"},        {"WORLD_SIZE", "8"},
                   {"LOCAL_RANK", "1"},  {"LOCAL_WORLD_SIZE", "4"},
                   {"MASTER_ADDR", "h"}, {"MASTER_PORT", "29500"}};
  expectWorld(run, {5, 8, 1, 4, "torchrun"});
  run["OMPI_COMM_WORLD_RANK"] = "0";  // started by torchrun, which mpirun started
  run["OMPI_COMM_WORLD_SIZE"] = "2";
  expectWorld(run, {5, 8, 1, 4, "torchrun"});
}

TEST(Detect, OpenMpi) {
  expectWorld({{"OMPI_COMM_WORLD_RANK", "3"},
               {"OMPI_COMM_WORLD_SIZE", "4"},
               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
              {3, 4, 1, 2, "open-mpi"});
}

TEST(Detect, HydraOfMpichAndIntel) {
  Variables run = {{"PMI_RANK", "3"},
                   {"PMI_SIZE", "4"},
                   {"PMI_FD", "6"},
                   {"MPI_LOCALRANKID", "1"},
                   {"MPI_LOCALNRANKS", "2"}};
  expectWorld(run, {3, 4, 1, 2, "mpich"});
  // Inside an allocation, Slurm's variables are those of Hydra's proxy.
  run["SLURM_PROCID"] = "1";
  run["SLURM_NTASKS"] = "2";
  expectWorld(run, {3, 4, 1, 2, "mpich"});
  run["I_MPI_ROOT"] = "/opt/intel";
  expectWorld(run, {3, 4, 1, 2, "intel-mpi"});
}

TEST(Detect, Slurm) {
  Variables run = {{"SLURM_PROCID", "5"},  {"SLURM_NTASKS", "7"}, {"SLURM_LOCALID", "2"},
                   {"SLURM_STEP_ID", "0"}, {"SLURM_NODEID", "1"}, {"SLURM_STEP_TASKS_PER_NODE", "3(x2),1"}};
  expectWorld(run, {5, 7, 2, 3, "slurm"});
  run["PMI_RANK"] = "5";  // srun --mpi=pmi2
  run["PMI_SIZE"] = "7";
  expectWorld(run, {5, 7, 2, 3, "slurm"});
  // The batch script is one process, whatever the allocation.
  expectWorld(
      {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_LOCALID", "0"}, {"ENVIRONMENT", "BATCH"}},
      {0, 1, 0, 1, "none"});
  expectWorld({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "1"}, {"SLURM_NNODES", "1"}},
              {1, 2, 1, 2, "slurm"});
}

TEST(Detect, NonsenseIsAnErrorThatNamesTheVariable) {
  EXPECT_THAT(detectError({{"TUTTI_RANK", "two"}, {"TUTTI_SIZE", "4"}}),
              testing::HasSubstr("TUTTI_RANK=two"));
  EXPECT_THAT(detectError({{"TUTTI_RANK", "2"}}), testing::HasSubstr("TUTTI_SIZE is not set"));
  EXPECT_THAT(detectError({{"TUTTI_RANK", "4"}, {"TUTTI_SIZE", "4"}}), testing::HasSubstr("not below"));
  EXPECT_THAT(detectError({{"OMPI_COMM_WORLD_RANK", "-1"}, {"OMPI_COMM_WORLD_SIZE", "4"}}),
              testing::HasSubstr("OMPI_COMM_WORLD_RANK=-1"));
  EXPECT_THAT(detectError({{"TUTTI_RANK", "1"}, {"TUTTI_SIZE", "99999999999999999999"}}),
              testing::HasSubstr("TUTTI_SIZE"));
  EXPECT_THAT(detectError({{"TUTTI_RANK", "1"}, {"TUTTI_SIZE", "2"}, {"TUTTI_LOCAL_SIZE", "3"}}),
              testing::HasSubstr("do not go together"));
}

TEST(Slurm, FirstHostOfAList) {
  EXPECT_EQ(slurmFirstHost("alpha"), "alpha");
  EXPECT_EQ(slurmFirstHost("alpha,beta"), "alpha");
  EXPECT_EQ(slurmFirstHost("node[01-03,7],login"), "node01");
  EXPECT_EQ(slurmFirstHost("rack[2,4]-node[008-010]"), "rack2-node008");
  EXPECT_EQ(slurmFirstHost("node[3]"), "node3");
  EXPECT_EQ(slurmFirstHost("node[3"), "");
  EXPECT_EQ(slurmFirstHost(""), "");
}

TEST(Slurm, TasksPerNode) {
  EXPECT_THAT(slurmTasksPerNode("2(x3),1"), testing::ElementsAre(2, 2, 2, 1));
  EXPECT_THAT(slurmTasksPerNode("4"), testing::ElementsAre(4));
  EXPECT_THAT(slurmTasksPerNode(""), testing::IsEmpty());
  EXPECT_THAT(slurmTasksPerNode("2(x"), testing::IsEmpty());
  EXPECT_THAT(slurmTasksPerNode("1(x99999999999)"), testing::IsEmpty());
}

TEST(Help, TellsWhatIsSeen) {
  EXPECT_THAT(helpText(), testing::HasSubstr("Seen now:"));
}

}  // namespace
}  // namespace tutti::launch
