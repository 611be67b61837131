#include "run/processes.hpp"

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "core/result.hpp"

namespace tutti::tools::run {
namespace {

template <typename Visit>
void forEachProcess(Visit visit) {
  DIR* directory = opendir("/proc");
  if (!directory) return;
  while (dirent* entry = readdir(directory)) {
    pid_t pid = std::atoi(entry->d_name);
    if (pid > 0) visit(pid);
  }
  closedir(directory);
}

std::string contentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// State letter and parent of a process; false when it is gone.
bool readStat(pid_t pid, char& state, pid_t& parent) {
  std::string line = contentOf(fmt::format("/proc/{}/stat", pid));
  // The name stands in parentheses and may hold any character: the last parenthesis ends it.
  size_t end = line.rfind(')');
  if (end == std::string::npos || end + 4 > line.size()) return false;
  state = line[end + 2];
  parent = std::atoi(line.c_str() + end + 4);
  return true;
}

}  // namespace

std::vector<pid_t> descendantsOf(pid_t root, pid_t except) {
  std::map<pid_t, pid_t> parentOf;
  std::set<pid_t> zombies;
  forEachProcess([&](pid_t pid) {
    char state;
    pid_t parent;
    if (!readStat(pid, state, parent)) return;
    parentOf[pid] = parent;
    if (state == 'Z' || state == 'X') zombies.insert(pid);
  });
  std::vector<pid_t> found;
  for (auto [pid, parent] : parentOf) {
    if (zombies.count(pid)) continue;
    pid_t at = pid;
    // The chain is as of several moments: bounded, in case it closes to a ring.
    for (size_t depth = 0; depth < parentOf.size() && at > 1 && at != except; ++depth) {
      auto up = parentOf.find(at);
      if (up == parentOf.end()) break;
      if (up->second == root) {
        found.push_back(pid);
        break;
      }
      at = up->second;
    }
  }
  return found;
}

std::vector<pid_t> processesWith(const std::string& assignment) {
  std::vector<pid_t> found;
  forEachProcess([&](pid_t pid) {
    if (pid == getpid()) return;
    std::string environment = '\0' + contentOf(fmt::format("/proc/{}/environ", pid));
    if (environment.find('\0' + assignment + '\0') != std::string::npos) found.push_back(pid);
  });
  return found;
}

std::vector<int> cpuOrder() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::vector<int> first, second;
  std::set<std::string> seen;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::string siblings =
        contentOf(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    bool ofNewCore = siblings.empty() || seen.insert(siblings).second;
    (ofNewCore ? first : second).push_back(cpu);
  }
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace tutti::tools::run
