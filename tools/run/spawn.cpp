#include "run/spawn.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tutti::tools::run {
namespace {

bool isFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

std::vector<char*> pointersTo(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

/// Runs in the new process: only calls that are safe after fork().
[[noreturn]] void becomeRank(const SpawnPlan& plan, int rank, pid_t parent, int in, int out, int err,
                             char* const* argv, char* const* envp) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(125);  // it died before the line above
  if (rank != 0 && in < 0) in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (in >= 0) dup2(in, STDIN_FILENO);
  if (out >= 0) dup2(out, STDOUT_FILENO);
  if (err >= 0) dup2(err, STDERR_FILENO);
  setrlimit(RLIMIT_NOFILE, &plan.fileLimit);
  if (!plan.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan.cpus[static_cast<size_t>(rank) % plan.cpus.size()], &set);
    sched_setaffinity(0, sizeof(set), &set);
  }
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &plan.signalMask, nullptr);
  execvpe(plan.path.c_str(), argv, envp);
  int error = errno;
  dprintf(STDERR_FILENO, "tutti run: rank %d: %s cannot be started: %s\n", rank, plan.path.c_str(),
          strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

}  // namespace

Result<std::string> findProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (!isFile(name)) return makeError(Code::InvalidArgument, "there is no program {}", name);
    if (access(name.c_str(), X_OK) != 0) return makeError(Code::InvalidUsage, "{} is not executable", name);
    return name;
  }
  const char* variable = std::getenv("PATH");
  std::string path = variable ? variable : "/usr/local/bin:/usr/bin:/bin";
  bool unusable = false;
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find(':', start), path.size());
    std::string candidate = end == start ? "./" + name : path.substr(start, end - start) + "/" + name;
    if (isFile(candidate)) {
      if (access(candidate.c_str(), X_OK) == 0) return candidate;
      unusable = true;
    }
    start = end + 1;
  }
  if (unusable) return makeError(Code::InvalidUsage, "{} is in PATH but not executable", name);
  bool here = isFile("./" + name);
  return makeError(Code::InvalidArgument, "program '{}' is not in PATH{}", name,
                   here ? fmt::format("; the one in this folder is ./{}", name) : "");
}

Result<pid_t> spawnRank(const SpawnPlan& plan, int rank, int size, int in, int out, int err) {
  std::vector<std::string> environment = plan.environment;
  environment.push_back(fmt::format("TUTTI_RANK={}", rank));
  environment.push_back(fmt::format("TUTTI_LOCAL_RANK={}", rank));
  environment.push_back(fmt::format("TUTTI_SIZE={}", size));
  environment.push_back(fmt::format("TUTTI_LOCAL_SIZE={}", size));
  std::vector<char*> argv = pointersTo(plan.command), envp = pointersTo(environment);
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid < 0) return makeSystemError(errno, "fork for rank {}", rank);
  if (pid == 0) becomeRank(plan, rank, parent, in, out, err, argv.data(), envp.data());
  setpgid(pid, pid);  // also here: whoever comes first, the group is there before we signal it
  return pid;
}

}  // namespace tutti::tools::run
