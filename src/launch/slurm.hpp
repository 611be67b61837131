// Slurm's lists: hosts ("node[01-03,7],login") and tasks per node ("2(x3),1").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launch/launch.hpp"

namespace tutti::launch {

/// The first host of a Slurm host list; empty when there is none.
std::string slurmFirstHost(std::string_view list);

/// Tasks on each node; empty when the text makes no sense.
std::vector<int> slurmTasksPerNode(std::string_view text);

/// Nodes of this job step, 0 when Slurm does not tell.
int slurmNodeCount(const Environment& environment);

/// The host of rank 0, as far as Slurm tells; empty when it does not.
std::string slurmRankZeroHost(const Environment& environment);

}  // namespace tutti::launch
