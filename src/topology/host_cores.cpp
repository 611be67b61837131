#include "topology/host_cores.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace tutti::topology {
namespace {

constexpr int kMaxCpu = 65535;

std::optional<std::string> readLine(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "r"), &std::fclose);
  if (!file) return std::nullopt;
  std::string text;
  char buffer[4096];
  size_t got = 0;
  while (text.size() < (1u << 20) && (got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0)
    text.append(buffer, got);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::optional<int> readInt(const std::string& path) {
  auto text = readLine(path);
  int number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

std::optional<std::vector<int>> readCpuList(const std::string& path) {
  auto text = readLine(path);
  if (!text) return std::nullopt;
  auto list = parseCpuList(*text);
  if (!list.ok()) return std::nullopt;
  return std::move(list).value();
}

std::vector<int> allowedCpus() {
  // Machines with more CPUs than a cpu_set_t holds make the call fail with EINVAL until the set is large
  // enough.
  for (int count = CPU_SETSIZE; count <= (1 << 16); count *= 2) {
    cpu_set_t* set = CPU_ALLOC(count);
    if (!set) return {};
    size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set);
    std::vector<int> cpus;
    bool ok = sched_getaffinity(0, bytes, set) == 0;
    bool retry = !ok && errno == EINVAL;
    if (ok)
      for (int c = 0; c < count; ++c)
        if (CPU_ISSET_S(c, bytes, set)) cpus.push_back(c);
    CPU_FREE(set);
    if (!retry) return cpus;
  }
  return {};
}

/// The CPUs that share the cache of level 3 with `cpu`, or of the last level below it when there is none.
std::optional<std::vector<int>> lastLevelSharers(const std::string& cpuFolder) {
  int best = 0;
  std::optional<std::vector<int>> sharers;
  for (int i = 0; i < 16; ++i) {
    std::string index = cpuFolder + "/cache/index" + std::to_string(i);
    auto level = readInt(index + "/level");
    if (!level) break;
    auto type = readLine(index + "/type");
    if ((type && *type == "Instruction") || *level > 3 || *level <= best) continue;
    if (auto list = readCpuList(index + "/shared_cpu_list")) {
      best = *level;
      sharers = std::move(list);
    }
  }
  return sharers;
}

}  // namespace

Result<std::vector<int>> parseCpuList(std::string_view text) {
  std::set<int> cpus;
  auto number = [&](std::string_view part, int& out) {
    auto [end, failure] = std::from_chars(part.data(), part.data() + part.size(), out);
    return failure == std::errc() && end == part.data() + part.size() && out >= 0 && out <= kMaxCpu;
  };
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    size_t dash = part.find('-');
    int first = 0;
    int last = 0;
    bool ok = number(part.substr(0, dash), first);
    last = first;
    if (ok && dash != std::string_view::npos) ok = number(part.substr(dash + 1), last);
    if (!ok || last < first)
      return makeError(Code::InvalidArgument, "\"{}\" is not a list of CPUs such as 0-3,8", part);
    for (int c = first; c <= last; ++c) cpus.insert(c);
  }
  return std::vector<int>(cpus.begin(), cpus.end());
}

const HostCore* HostCores::find(int cpu) const {
  auto at =
      std::lower_bound(cores.begin(), cores.end(), cpu, [](const HostCore& c, int n) { return c.cpu < n; });
  return at != cores.end() && at->cpu == cpu ? &*at : nullptr;
}

int HostCores::distance(const HostCore& a, const HostCore& b) {
  if (a.cpu == b.cpu) return 0;
  if (a.coreId == b.coreId) return 1;
  if (a.l3 == b.l3) return 2;
  if (a.numa == b.numa) return 3;
  return a.package == b.package ? 4 : 5;
}

HostCores probeHostCores() {
  return probeHostCores("", allowedCpus());
}

HostCores probeHostCores(const std::string& root, const std::vector<int>& allowed) {
  HostCores result;
  const std::string system = root + "/sys/devices/system";
  auto online = readCpuList(system + "/cpu/online");
  std::vector<int> cpus = allowed;
  if (online && cpus.empty()) cpus = *online;
  if (online && !allowed.empty()) {
    cpus.clear();
    std::set_intersection(allowed.begin(), allowed.end(), online->begin(), online->end(),
                          std::back_inserter(cpus));
  }
  if (!online)
    result.warnings.push_back(system +
                              "/cpu/online cannot be read: CPUs are taken to share one L3, one NUMA node");
  if (cpus.empty()) cpus.push_back(0);

  std::map<int, int> numaOf;
  if (auto nodes = readCpuList(system + "/node/online")) {
    for (int n : *nodes)
      if (auto list = readCpuList(system + "/node/node" + std::to_string(n) + "/cpulist"))
        for (int c : *list) numaOf[c] = n;
  }
  std::map<int, int> groupOfLowest;  // lowest CPU that shares the L3 → group
  bool cacheUnknown = false;
  for (int cpu : cpus) {
    const std::string folder = system + "/cpu/cpu" + std::to_string(cpu);
    HostCore core;
    core.cpu = cpu;
    core.package = std::max(0, readInt(folder + "/topology/physical_package_id").value_or(0));
    auto siblings = readCpuList(folder + "/topology/thread_siblings_list");
    core.coreId = siblings && !siblings->empty() ? siblings->front() : cpu;
    core.numa = numaOf.contains(cpu) ? numaOf[cpu] : 0;
    auto sharers = lastLevelSharers(folder);
    if (!sharers || sharers->empty()) cacheUnknown = true;
    // Without cache data all CPUs of a package count as one group: keys below zero cannot meet a CPU number.
    int key = sharers && !sharers->empty() ? sharers->front() : -1 - core.package;
    core.l3 = groupOfLowest.try_emplace(key, static_cast<int>(groupOfLowest.size())).first->second;
    result.cores.push_back(core);
  }
  if (online && cacheUnknown)
    result.warnings.push_back(
        "caches cannot be read from sysfs: CPUs of a package are taken to share one L3");
  std::set<int> numa;
  std::set<int> packages;
  for (const HostCore& c : result.cores) {
    numa.insert(c.numa);
    packages.insert(c.package);
  }
  result.l3Groups = static_cast<int>(groupOfLowest.size());
  result.numaNodes = static_cast<int>(numa.size());
  result.packages = static_cast<int>(packages.size());
  return result;
}

}  // namespace tutti::topology
