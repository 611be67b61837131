// Which processes belong to a run, from /proc, and how to end them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tutti::tools::run {

/// All processes below `root`, at any depth, without `except` and what is below it. Zombies are not counted.
std::vector<pid_t> descendantsOf(pid_t root, pid_t except);

/// Processes of this user whose environment held `assignment` ("NAME=VALUE") when they were started.
std::vector<pid_t> processesWith(const std::string& assignment);

/// The CPUs that this process may use, one of each core before the second ones of any.
std::vector<int> cpuOrder();

}  // namespace tutti::tools::run
