#include "core/host.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "core/bytes.hpp"
#include "core/unique_fd.hpp"

namespace tutti {
namespace {

/// The first 4 KiB of a small file of /proc or /sys; empty if there is none.
std::string readSmall(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  char buffer[4096];
  const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
}

int smaller(int cpus, int limit) {
  return limit > 0 ? std::min(cpus, limit) : cpus;
}

/// Least quota of the groups from `group` ("/a/b") up to the root of the hierarchy mounted at `mount`.
int quotaAlong(const std::string& mount, std::string group, bool version2) {
  int least = 0;
  for (;;) {
    const std::string folder = mount + group + "/";
    const std::string limit =
        version2 ? readSmall(folder + "cpu.max")
                 : readSmall(folder + "cpu.cfs_quota_us") + " " + readSmall(folder + "cpu.cfs_period_us");
    const int cpus = cpusOfQuota(limit);
    if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
    const size_t slash = group.rfind('/');
    if (slash == group.npos) return least;
    group.resize(slash);
  }
}

int cgroupQuota() {
  const std::string groups = readSmall("/proc/self/cgroup");
  std::string_view rest = groups;
  int least = 0;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    // "id:controllers:path"; id 0 with no controllers is version 2.
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    std::string group(line.substr(second + 1));
    while (!group.empty() && group.back() == '/') group.pop_back();
    int cpus = 0;
    if (controllers == ",,") {
      cpus = quotaAlong("/sys/fs/cgroup", group, true);
    } else if (controllers.find(",cpu,") != controllers.npos) {
      cpus = quotaAlong("/sys/fs/cgroup/cpu", group, false);
    }
    if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
  }
  return least;
}

int affinityCount() {
  for (int cpus = 1024; cpus <= (1 << 18); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, size, set) == 0;
    const int count = known ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (known) return std::max(count, 1);  // fails only where the kernel's mask is larger: try a larger one
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

const std::string& hostName() {
  static const auto* const name = [] {
    char buffer[256] = "";
    if (gethostname(buffer, sizeof(buffer) - 1) != 0 || buffer[0] == '\0') return new std::string("unknown");
    std::string full(buffer);
    return new std::string(full.substr(0, full.find('.')));
  }();
  return *name;
}

const std::string& bootId() {
  static const auto* const id = new std::string(trimmed(readSmall("/proc/sys/kernel/random/boot_id")));
  return *id;
}

int allowedCpuCount() {
  return smaller(affinityCount(), cgroupQuota());
}

int cpusOfQuota(std::string_view cpuMax) {
  cpuMax = trimmed(cpuMax);
  const size_t blank = cpuMax.find_first_of(" \n");
  if (blank == cpuMax.npos) return 0;
  const auto quota = parseInteger(cpuMax.substr(0, blank));
  const auto period = parseInteger(cpuMax.substr(blank + 1));
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((*quota - 1) / *period + 1, 1 << 20));
}

}  // namespace tutti
