// `tutti doctor`: what this machine offers to Tutti, a line per check: ok, warn or FAIL, and what to do.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "calibration/calibration.hpp"
#include "core/bytes.hpp"
#include "core/host.hpp"
#include "core/param.hpp"
#include "core/unique_fd.hpp"
#include "launch/launch.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

class Report {
 public:
  void ok(std::string_view what, const std::string& found) { line("ok", what, found, ""); }
  void warn(std::string_view what, const std::string& found, const std::string& next) {
    line("warn", what, found, next);
  }
  void fail(std::string_view what, const std::string& found, const std::string& next) {
    failed_ = true;
    line("FAIL", what, found, next);
  }
  bool failed() const { return failed_; }

 private:
  static void line(std::string_view level, std::string_view what, const std::string& found,
                   const std::string& next) {
    fmt::print("{:<5} {:<20} {}\n", level, what, found);
    if (!next.empty()) fmt::print("      {:<20} -> {}\n", "", next);
  }
  bool failed_ = false;
};

std::string firstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string errorText(int error) {
  return std::strerror(error);
}

void checkMemory(Report& report) {
  UniqueFd fd(memfd_create("tutti-doctor", MFD_CLOEXEC));
  bool works = fd && ftruncate(fd.get(), 1 << 20) == 0;
  void* mapped = works ? mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0) : MAP_FAILED;
  if (mapped != MAP_FAILED) {
    std::memset(mapped, 1, 1 << 20);
    munmap(mapped, 1 << 20);
    report.ok("shared memory", "memfd_create works; nothing is left in /dev/shm");
  } else {
    report.fail("shared memory", "memfd_create: " + errorText(errno),
                "allow memfd_create in the container's seccomp profile; ranks of one host talk through it");
  }
  struct statvfs space;
  if (statvfs("/dev/shm", &space) != 0) {
    report.warn("/dev/shm", "not there", "Tutti does without; other libraries may not");
  } else {
    int64_t bytes = static_cast<int64_t>(space.f_bavail) * static_cast<int64_t>(space.f_frsize);
    std::string free = fmt::format("{} MiB free", bytes >> 20);
    if (bytes >= 64 << 20) {
      report.ok("/dev/shm", free);
    } else {
      report.warn("/dev/shm", free, "Tutti does without; for other libraries: docker run --shm-size=1g");
    }
  }
  rlimit locked;
  getrlimit(RLIMIT_MEMLOCK, &locked);
  if (locked.rlim_cur == RLIM_INFINITY) {
    report.ok("locked memory", "unlimited");
  } else {
    report.warn("locked memory", fmt::format("{} KiB", locked.rlim_cur >> 10),
                "only RDMA needs more: ulimit -l unlimited");
  }
  std::ifstream info("/proc/meminfo");
  std::string word, total = "0", free = "0";
  while (info >> word) {
    if (word == "HugePages_Total:") info >> total;
    if (word == "HugePages_Free:") info >> free;
  }
  std::string transparent = firstLine("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  report.ok("huge pages", fmt::format("{} reserved, {} free; transparent for shared memory: {}", total, free,
                                      transparent.empty() ? "not available" : transparent));
}

/// A child reads a word of ours the way a peer rank would.
void checkSingleCopy(Report& report) {
  static volatile uint64_t word = 0x7475747469;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    uint64_t copy = 0;
    iovec to{&copy, sizeof(copy)}, from{const_cast<uint64_t*>(&word), sizeof(copy)};
    ssize_t got = process_vm_readv(parent, &to, 1, &from, 1, 0);
    _exit(got == sizeof(copy) && copy == word ? 0 : got < 0 ? errno : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    report.fail("processes", "fork: " + errorText(errno), "raise the limit of processes: ulimit -u");
    return;
  }
  std::string scope = firstLine("/proc/sys/kernel/yama/ptrace_scope");
  std::string suffix = scope.empty() ? "" : " (ptrace_scope " + scope + ")";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    report.ok("single copy", "process_vm_readv works" + suffix);
  } else {
    report.warn("single copy", "process_vm_readv: " + errorText(WEXITSTATUS(status)) + suffix,
                "large messages take two copies; to allow it: sysctl kernel.yama.ptrace_scope=0, docker run "
                "--cap-add SYS_PTRACE");
  }
}

void checkLimits(Report& report) {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  std::string text = fmt::format("{} (up to {})", files.rlim_cur, files.rlim_max);
  if (files.rlim_max >= 4096) {
    report.ok("open files", text);
  } else {
    report.warn("open files", text, "many ranks on this host need more: ulimit -Hn 65536");
  }
  rlimit processes;
  getrlimit(RLIMIT_NPROC, &processes);
  std::string pids = firstLine("/sys/fs/cgroup/pids.max");
  report.ok("processes",
            fmt::format("limit {}, cgroup {}",
                        processes.rlim_cur == RLIM_INFINITY ? std::string("none")
                                                            : fmt::format("{}", processes.rlim_cur),
                        pids.empty() ? "none seen" : pids));
}

void checkCpu(Report& report) {
  int allowed = allowedCpuCount();
  unsigned present = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF));
  std::string text = fmt::format("{} usable of {}", allowed, present);
  if (allowed >= 2) {
    report.ok("cores", text);
  } else {
    report.warn("cores", text, "ranks will take turns; results stay right, times do not mean much");
  }
  std::string quota = firstLine("/sys/fs/cgroup/cpu.max"), memory = firstLine("/sys/fs/cgroup/memory.max");
  report.ok("cgroup", fmt::format("cpu.max {}, memory.max {}", quota.empty() ? "not seen" : quota,
                                  memory.empty() ? "not seen" : memory));
#if defined(__x86_64__)
  const char* level = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") ? "AVX-512"
                      : __builtin_cpu_supports("avx2")                                         ? "AVX2"
                      : __builtin_cpu_supports("sse4.2")                                       ? "SSE4"
                                                                                               : nullptr;
  if (level) {
    report.ok("SIMD", level);
  } else {
    report.warn("SIMD", "none that we use", "reductions run one element at a time");
  }
#else
  report.ok("SIMD", "what the compiler's baseline for this processor has");
#endif
}

void checkNetwork(Report& report) {
  std::map<std::string, std::string> interfaces;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    report.fail("network", "getifaddrs: " + errorText(errno), "check the container's network");
    return;
  }
  bool loopback = false, other = false;
  for (ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) continue;
    int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    char text[INET6_ADDRSTRLEN];
    const void* address =
        family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr)
            : &reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
    inet_ntop(family, address, text, sizeof(text));
    interfaces[entry->ifa_name] += std::string(" ") + text;
    (entry->ifa_flags & IFF_LOOPBACK ? loopback : other) = true;
  }
  freeifaddrs(list);
  for (const auto& [name, addresses] : interfaces) report.ok("network " + name, addresses.substr(1));
  if (!loopback)
    report.fail("loopback", "down", "ranks of one host find each other over it: ip link set lo up");
  if (!other) report.warn("network", "no interface but loopback", "one host only");
}

void checkLibrary(Report& report, std::string_view what, std::initializer_list<const char*> names,
                  const std::string& without) {
  for (const char* name : names) {
    if (void* handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL)) {
      dlclose(handle);
      report.ok(what, name);
      return;
    }
  }
  report.warn(what, fmt::format("{} not found", *names.begin()), without);
}

void checkCalibration(Report& report) {
  using namespace calibration;
  const std::string path = pathFor(fingerprint());
  const Loaded loaded = load(path, fingerprint());
  if (!params::getBool("TUTTI_CALIBRATE")) {
    report.warn("calibration", "turned off (TUTTI_CALIBRATE=0)", "the cost model uses built-in numbers");
  } else if (loaded.lacks == Lacks::Nothing) {
    report.ok("calibration", fmt::format("{}, {} old", path, ageOf(loaded.saved.measuredAt)));
  } else if (loaded.lacks == Lacks::Sense) {
    report.warn("calibration", loaded.why, "`tutti calibrate` measures anew");
  } else if (path.empty()) {
    report.warn("calibration", "no folder to keep it", "set TUTTI_CACHE_DIR, or measure 0.2 s at each start");
  } else {
    report.ok("calibration", "not measured yet: the first communicator does, or `tutti calibrate`");
  }
}

}  // namespace

int doctorMain(int argc, char** argv) {
  // No options, so no parser: it would triple the time that this file takes to compile.
  std::string_view option = argc > 1 ? argv[1] : "";
  if (option == "--help" || option == "-h") {
    fmt::print(
        "tutti doctor: checks what this machine offers to Tutti, a line per check, and says what to do where "
        "it does not.\n"
        "Exit status 1 when something that Tutti needs is missing.\n");
    return kExitOk;
  }
  if (!option.empty()) {
    fmt::print(stderr, "tutti doctor: takes no argument, not '{}'\n", option);
    return kExitUsage;
  }
  Report report;
  checkCpu(report);
  checkMemory(report);
  checkSingleCopy(report);
  checkLimits(report);
  checkCalibration(report);
  checkNetwork(report);
  checkLibrary(report, "CUDA driver", {"libcuda.so.1"}, "collectives work on host memory");
  checkLibrary(report, "NVML", {"libnvidia-ml.so.1"}, "comes with NVIDIA's driver; only GPUs need it");
  checkLibrary(report, "verbs", {"libibverbs.so.1"},
               "hosts talk over TCP; for RDMA: apt install libibverbs1");
  if (Status settings = params::checkAll(); settings.ok()) {
    report.ok("parameters", "all settings parse");
  } else {
    report.fail("parameters", settings.error().message(), "`tutti params NAME` tells what it takes");
  }
  if (auto world = launch::detect(); world.ok()) {
    report.ok("launcher", fmt::format("{}, rank {} of {}", (*world).launcher, (*world).rank, (*world).size));
  } else {
    report.fail("launcher", world.error().message(), "start ranks with `tutti run -n N -- program`");
  }
  return report.failed() ? kExitFailed : kExitOk;
}

}  // namespace tutti::tools
