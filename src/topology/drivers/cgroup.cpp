#include "topology/drivers/cgroup.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "topology/drivers/sysfs.hpp"
#include "topology/host_cores.hpp"

namespace tutti::topology {
namespace {

/// The group's folder and those above it up to the mount: in a container the group's own path may not show.
std::vector<std::string> foldersOf(const std::string& mount, std::string path) {
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back(mount + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(mount);
  return folders;
}

void readCpus(const std::vector<std::string>& folders, const char* file, CgroupLimits& limits) {
  for (const std::string& folder : folders) {
    const std::string text = readSysText(folder + "/" + file);
    if (text.empty()) continue;
    auto cpus = parseCpuList(text);
    if (!cpus.ok()) continue;
    limits.cpus = std::move(cpus).value();
    limits.where = folder + "/" + file;
    return;
  }
}

void limitTo(CgroupLimits& limits, double quota) {
  if (quota > 0) limits.quota = limits.quota > 0 ? std::min(limits.quota, quota) : quota;
}

}  // namespace

CgroupLimits readCgroup(const std::string& root) {
  CgroupLimits limits;
  const std::string mount = root + "/sys/fs/cgroup";
  std::istringstream lines(readSysText(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      const std::vector<std::string> folders = foldersOf(mount, path);
      if (limits.cpus.empty()) readCpus(folders, "cpuset.cpus.effective", limits);
      for (const std::string& folder : folders) {
        std::istringstream max(readSysText(folder + "/cpu.max"));
        double quota = 0;
        double period = 0;
        if (max >> quota >> period && period > 0) limitTo(limits, quota / period);
      }
    }
    if (controllers.find(",cpuset,") != std::string::npos) {
      for (const char* file : {"cpuset.effective_cpus", "cpuset.cpus"})
        if (limits.cpus.empty()) readCpus(foldersOf(mount + "/cpuset", path), file, limits);
    }
    if (controllers.find(",cpu,") != std::string::npos) {
      for (const char* name : {"/cpu", "/cpu,cpuacct"})
        for (const std::string& folder : foldersOf(mount + name, path)) {
          const double period = std::atof(readSysText(folder + "/cpu.cfs_period_us").c_str());
          if (period > 0)
            limitTo(limits, std::atof(readSysText(folder + "/cpu.cfs_quota_us").c_str()) / period);
        }
    }
  }
  return limits;
}

}  // namespace tutti::topology
