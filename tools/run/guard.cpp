#include "run/guard.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "run/processes.hpp"

namespace tutti::tools::run {
namespace {

constexpr int kRounds = 100;
constexpr int kRoundMs = 20;
constexpr int kQuietRounds = 3;

[[noreturn]] void guardMain(int line, int ranks, pid_t* groups, const std::string& mark) {
  setsid();
  prctl(PR_SET_NAME, "tutti-guard");
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  // Nobody shall wait for our end of an inherited pipe.
  if (line > 0) close_range(0, line - 1, 0);
  close_range(line + 1, ~0u, 0);
  if (chdir("/") != 0) _exit(1);

  char word;
  ssize_t got;
  do {
    got = read(line, &word, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) _exit(0);

  int quiet = 0;
  for (int round = 0; round < kRounds && quiet < kQuietRounds; ++round) {
    for (int rank = 0; rank < ranks; ++rank) {
      pid_t group =
          std::atomic_ref(groups[rank]).load(std::memory_order_relaxed);  // relaxed: its writer is dead
      if (group > 0) kill(-group, SIGKILL);
    }
    std::vector<pid_t> left = processesWith(mark);
    for (pid_t pid : left) kill(pid, SIGKILL);
    quiet = left.empty() ? quiet + 1 : 0;
    poll(nullptr, 0, kRoundMs);
  }
  _exit(0);
}

}  // namespace

Result<std::unique_ptr<Guard>> Guard::start(int ranks, const std::string& mark) {
  size_t bytes = sizeof(pid_t) * ranks;
  void* shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return makeSystemError(errno, "mmap");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    int error = errno;
    munmap(shared, bytes);
    return makeSystemError(error, "pipe");
  }
  UniqueFd reading(ends[0]);
  auto guard = std::unique_ptr<Guard>(new Guard);
  guard->line_.reset(ends[1]);
  guard->ranks_ = ranks;
  guard->groups_ = static_cast<pid_t*>(shared);
  guard->pid_ = fork();
  if (guard->pid_ < 0) return makeSystemError(errno, "fork");
  if (guard->pid_ == 0) guardMain(reading.get(), ranks, guard->groups_, mark);
  return guard;
}

Guard::~Guard() {
  char word = 'd';
  if (pid_ > 0 && write(line_.get(), &word, 1) == 1) {
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (groups_) munmap(groups_, sizeof(pid_t) * ranks_);
}

void Guard::setGroup(int rank, pid_t group) {
  std::atomic_ref(groups_[rank])
      .store(group, std::memory_order_relaxed);  // relaxed: read only after our death
}

}  // namespace tutti::tools::run
