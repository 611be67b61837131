// Starting one rank.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.hpp"

namespace tutti::tools::run {

/// What all ranks have in common.
struct SpawnPlan {
  std::string path;                  ///< the program, found
  std::vector<std::string> command;  ///< argv
  std::vector<std::string> environment;
  sigset_t signalMask;    ///< as it was before we changed ours
  rlimit fileLimit;       ///< likewise
  std::vector<int> cpus;  ///< rank i runs on cpus[i % size]; empty: anywhere
};

/// The program that `name` means: with a slash itself, otherwise the first in PATH. An error's code is
/// InvalidArgument when it does not exist, InvalidUsage when it cannot be executed.
Result<std::string> findProgram(const std::string& name);

/// Starts rank `rank` of `size` in a process group of its own, which the kernel kills with us. Descriptors -1
/// are inherited; ranks other than 0 read from /dev/null. Returns the process.
Result<pid_t> spawnRank(const SpawnPlan& plan, int rank, int size, int in, int out, int err);

}  // namespace tutti::tools::run
