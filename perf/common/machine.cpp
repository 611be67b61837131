#include "machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>

namespace tutti::perf {
namespace {

std::string firstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The number in a file, or `otherwise` where there is none ("max").
size_t numberIn(const char* path, size_t otherwise) {
  std::istringstream line(firstLine(path));
  size_t number = 0;
  return line >> number ? number : otherwise;
}

/// The value of "key   : value" in a /proc file.
std::string field(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) != 0) continue;
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace

std::string cpuModel() {
  std::string model = field("/proc/cpuinfo", "model name");
  if (model.empty()) model = field("/proc/cpuinfo", "CPU implementer");  // Arm names no model
  return model.empty() ? "unknown CPU" : model;
}

std::string hostName() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  std::string host(name);
  return host.substr(0, host.find('.'));
}

int usableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

size_t lastLevelCacheBytes() {
  size_t largest = 0;
  for (int index = 0; index < 5; ++index) {
    std::string path = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size";
    std::string text = firstLine(path.c_str());
    if (text.empty()) continue;
    size_t size = std::strtoull(text.c_str(), nullptr, 10);
    if (text.back() == 'K') size <<= 10;
    if (text.back() == 'M') size <<= 20;
    largest = std::max(largest, size);
  }
  return largest > 0 ? largest : size_t{32} << 20;
}

size_t availableMemoryBytes() {
  std::istringstream kilobytes(field("/proc/meminfo", "MemAvailable"));
  size_t available = 0;
  available = kilobytes >> available ? available * 1024 : size_t{1} << 30;
  constexpr size_t kNoLimit = ~size_t{0};
  size_t limit = numberIn("/sys/fs/cgroup/memory.max", kNoLimit);
  if (limit == kNoLimit) return available;
  size_t used = numberIn("/sys/fs/cgroup/memory.current", 0);
  return std::min(available, limit > used ? limit - used : 0);
}

int64_t residentBytes() {
  std::istringstream line(firstLine("/proc/self/statm"));
  int64_t total = 0;
  int64_t resident = 0;
  line >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string timeStamp() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

}  // namespace tutti::perf
