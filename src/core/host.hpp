// Facts about this host and process that several rooms need.
#pragma once

#include <string>
#include <string_view>

namespace tutti {

/// The host's name up to its first dot, as NCCL shows it; "unknown" if the system does not tell. Read once.
const std::string& hostName();

/// The kernel's boot id (a UUID in text): the same for all containers on one running kernel, different after
/// a reboot. Empty if /proc does not tell. Read once.
const std::string& bootId();

/// How many CPUs' worth of time this process may use at once, at least 1: the affinity mask of the calling
/// thread, and the cgroup's CPU quota (v2 or v1, this group and those above it) rounded up, whichever is
/// less. Read at each call.
int allowedCpuCount();

/// Only the quota part, for tests: `cpuMax` is the text of a cgroup v2 cpu.max ("200000 100000" or "max
/// 100000"). CPUs, rounded up; 0 where it sets no limit or does not parse.
int cpusOfQuota(std::string_view cpuMax);

}  // namespace tutti
