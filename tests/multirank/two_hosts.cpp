#include "two_hosts.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace ranks {
namespace {

/// Runs a shell command; false if it fails.
bool shell(const std::string& command) {
  return system((command + " >/dev/null 2>&1").c_str()) == 0;
}

/// A process that keeps a network namespace alive as long as the test lives; -1 with errno.
pid_t holdNamespace() {
  int answer[2];
  if (pipe(answer) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(answer[0]);
    const int error = unshare(CLONE_NEWNET) == 0 ? 0 : errno;
    (void)!write(answer[1], &error, sizeof(error));
    if (error != 0) _exit(1);
    for (;;) pause();
  }
  close(answer[1]);
  int error = ECHILD;
  const ssize_t got = read(answer[0], &error, sizeof(error));
  close(answer[0]);
  if (child > 0 && got == sizeof(error) && error == 0) return child;
  if (child > 0) waitpid(child, nullptr, 0);
  errno = error;
  return -1;
}

}  // namespace

TwoHosts::TwoHosts() : whyNot_(make()) {}

std::string TwoHosts::make() {
  if (geteuid() != 0) return "making network namespaces needs root";
  if (!shell("ip -Version")) return "there is no `ip` command (package iproute2)";
  for (pid_t& holder : holders_) {
    holder = holdNamespace();
    if (holder < 0) return std::string("no right to make a network namespace: ") + std::strerror(errno);
  }
  // The cable is made inside: the machine's own network never sees it.
  const pid_t child = fork();
  if (child == 0) {
    enter(0);
    const std::string name = kInterface;
    const bool made = shell("ip link add " + name + " type veth peer name " + name + " netns " +
                            std::to_string(holders_[1]));
    _exit(made ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  if (status != 0) return "no right to make a veth pair";
  for (int host : {0, 1}) {
    const pid_t worker = fork();
    if (worker == 0) {
      enter(host);
      const std::string name = kInterface;
      _exit(shell("ip addr add " + std::string(kAddress[host]) + "/24 dev " + name + " && ip link set " +
                  name + " up && ip link set lo up")
                ? 0
                : 1);
    }
    waitpid(worker, &status, 0);
    if (status != 0) return "a veth device cannot be set up";
  }
  return "";
}

TwoHosts::~TwoHosts() {
  for (pid_t holder : holders_) {
    if (holder <= 0) continue;
    kill(holder, SIGKILL);
    waitpid(holder, nullptr, 0);
  }
}

void TwoHosts::enter(int host) const {
  const int fd = open(("/proc/" + std::to_string(holders_[host]) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) _exit(99);
  close(fd);
}

void TwoHosts::cut() {
  (void)shell(std::string("ip link set ") + kInterface + " down");
}

}  // namespace ranks
