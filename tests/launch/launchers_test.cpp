// The same probe under other launchers. A launcher that is not installed here is skipped, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "command.hpp"
#include "core/result.hpp"

namespace tutti::test {
namespace {

const std::string kProbe = PROBE_BINARY;

int count(const std::string& text, const std::string& what) {
  int found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

std::string firstOf(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string path = which(name); !path.empty()) return path;
  }
  return "";
}

void expectOk(const std::string& command, const std::string& launcher, int lines) {
  Outcome outcome = run(command, 120'000);
  EXPECT_EQ(outcome.status, 0) << command << "\n" << outcome.out << outcome.err;
  EXPECT_EQ(count(outcome.out, " by " + launcher + " ok"), lines) << command << "\n"
                                                                  << outcome.out << outcome.err;
}

TEST(Launchers, OpenMpi) {
  std::string mpirun = which("mpirun.openmpi");
  if (mpirun.empty()) GTEST_SKIP() << "mpirun.openmpi is not installed (Debian: openmpi-bin)";
  mpirun += " --allow-run-as-root --oversubscribe -n 3 ";
  expectOk(mpirun + kProbe + " check", "open-mpi", 3);
  expectOk(mpirun + "sh -c '" + kProbe + " twice && " + kProbe + " check'", "open-mpi", 6);
}

TEST(Launchers, OpenMpiAcrossHosts) {
  std::string mpirun = which("mpirun.openmpi");
  if (mpirun.empty()) GTEST_SKIP() << "mpirun.openmpi is not installed (Debian: openmpi-bin)";
  // Ranks that believe to be alone on their hosts meet through PMIx, whose library leaks a little at its end.
  expectOk(mpirun +
               " --allow-run-as-root --oversubscribe -n 3 sh -c 'ASAN_OPTIONS=detect_leaks=0 "
               "OMPI_COMM_WORLD_LOCAL_SIZE=1 "
               "OMPI_COMM_WORLD_LOCAL_RANK=0 exec " +
               kProbe + " twice'",
           "open-mpi", 3);
}

TEST(Launchers, Mpich) {
  for (const char* name : {"mpiexec.hydra", "mpirun.mpich"}) {
    std::string mpirun = which(name);
    if (mpirun.empty()) GTEST_SKIP() << name << " is not installed (Debian: mpich)";
    expectOk(mpirun + " -n 3 " + kProbe + " check", "mpich", 3);
    expectOk(mpirun + " -n 2 sh -c '" + kProbe + " twice && " + kProbe + " check'", "mpich", 4);
  }
}

TEST(Launchers, MpichAcrossHosts) {
  std::string mpirun = which("mpiexec.hydra");
  if (mpirun.empty()) GTEST_SKIP() << "mpiexec.hydra is not installed (Debian: mpich)";
  // Two proxies on this host, which stand for two hosts: the ranks meet through PMI-1.
  expectOk(mpirun + " -launcher fork -hosts localhost,127.0.0.1 -ppn 1 -n 2 " + kProbe + " twice", "mpich",
           2);
}

TEST(Launchers, Torchrun) {
  const char* named = std::getenv("TUTTI_TEST_TORCHRUN");
  std::string torchrun = named ? named : firstOf({"torchrun"});
  if (torchrun.empty())
    GTEST_SKIP() << "torchrun is not installed (pip install torch; or name it in TUTTI_TEST_TORCHRUN)";
  std::string start = torchrun + " --no-python --nproc-per-node 3 ";
  expectOk(start + kProbe + " twice", "torchrun", 3);
  // Ranks that believe to be alone on their hosts meet through torchrun's store.
  expectOk(start + "sh -c 'LOCAL_WORLD_SIZE=1 LOCAL_RANK=0 exec " + kProbe + " twice'", "torchrun", 3);
}

TEST(Launchers, Slurm) {
  if (which("srun").empty())
    GTEST_SKIP() << "srun is not installed; Exchange.SlurmVariables covers its variables";
  Outcome works = run("srun -n 1 true", 20'000);
  if (works.status != 0) GTEST_SKIP() << "srun is there, but no cluster answers";
  expectOk("srun -n 2 " + kProbe + " check", "slurm", 2);
}

}  // namespace
}  // namespace tutti::test
