#include "command.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace tutti::test {
namespace {

std::string contentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

Background::Background(const std::string& shellCommand) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", shellCommand.c_str(), nullptr);
    _exit(127);
  }
  setpgid(pid_, pid_);
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
  fcntl(out_, F_SETFL, O_NONBLOCK);
  fcntl(err_, F_SETFL, O_NONBLOCK);
}

Background::~Background() {
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_ >= 0) close(out_);
  if (err_ >= 0) close(err_);
}

void Background::fill(int& fd, std::string& to) {
  char buffer[65536];
  while (fd >= 0) {
    ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0) {
      to.append(buffer, static_cast<size_t>(got));
    } else if (got == 0) {
      close(fd);
      fd = -1;
    } else {
      return;
    }
  }
}

bool Background::pump(int timeoutMs) {
  pollfd waiting[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  poll(waiting, 2, timeoutMs);
  fill(out_, outcome_.out);
  fill(err_, outcome_.err);
  return out_ >= 0 || err_ >= 0;
}

bool Background::waitForOutput(const std::string& text, int limitMs) {
  Deadline deadline = Deadline::afterMs(limitMs);
  while (outcome_.out.find(text) == std::string::npos) {
    if (deadline.expired() || !pump(50)) return outcome_.out.find(text) != std::string::npos;
  }
  return true;
}

Outcome Background::finish(int limitMs) {
  Deadline deadline = Deadline::afterMs(limitMs);
  int status = 0;
  while (true) {
    // The end of the process, not of its output: what it left behind may hold that open.
    if (waitpid(pid_, &status, WNOHANG) == pid_) break;
    if (deadline.expired()) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      outcome_.err += "(test: killed after the time limit)\n";
      break;
    }
    if (!pump(20)) poll(nullptr, 0, 5);
  }
  pid_ = -1;
  pump(0);
  outcome_.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome_;
}

Outcome run(const std::string& shellCommand, int limitMs) {
  return Background(shellCommand).finish(limitMs);
}

std::string newMark() {
  std::random_device random;
  return fmt::format("TUTTI_TEST_MARK={}-{}-{}", getpid(), random(), random());
}

int countMarked(const std::string& mark) {
  int count = 0;
  DIR* directory = opendir("/proc");
  while (dirent* entry = directory ? readdir(directory) : nullptr) {
    int pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    // A zombie's environment reads as empty.
    std::string environment = '\0' + contentOf(fmt::format("/proc/{}/environ", pid));
    if (environment.find('\0' + mark + '\0') != std::string::npos) ++count;
  }
  if (directory) closedir(directory);
  return count;
}

bool waitForNone(const std::string& mark, int limitMs) {
  Deadline deadline = Deadline::afterMs(limitMs);
  while (countMarked(mark) > 0) {
    if (deadline.expired()) return false;
    poll(nullptr, 0, 20);
  }
  return true;
}

std::string which(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::string path = variable ? variable : "";
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find(':', start), path.size());
    std::string candidate = path.substr(start, end - start) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return "";
}

}  // namespace tutti::test
