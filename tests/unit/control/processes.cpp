#include "processes.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/clock.hpp"

extern char** environ;

namespace tutti::control::testing {
namespace {

constexpr int kToTest = 198;  // the role's ends of the pipes
constexpr int kFromTest = 199;
constexpr int kPatienceMs = 20'000;

std::map<std::string, std::function<int(const RoleContext&)>>& roles() {
  static std::map<std::string, std::function<int(const RoleContext&)>> all;
  return all;
}

std::string hexOf(const UniqueId& id) {
  std::string text;
  for (const uint8_t byte : id.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string readLine(int fd, std::string& buffer, int timeoutMs) {
  const Deadline deadline = Deadline::afterMs(timeoutMs);
  while (true) {
    if (const size_t end = buffer.find('\n'); end != std::string::npos) {
      const std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return line;
    }
    pollfd entry{fd, POLLIN, 0};
    if (deadline.expired() || poll(&entry, 1, deadline.remainingMs(1000)) < 0) return "";
    if (entry.revents == 0) continue;
    char chunk[4096];
    const ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got <= 0) return "";
    buffer.append(chunk, static_cast<size_t>(got));
  }
}

// What a child process runs instead of tests.
TEST(ChildProcess, DISABLED_Run) {
  const char* name = std::getenv("TUTTI_TEST_ROLE");
  ASSERT_NE(name, nullptr);
  RoleContext context;
  context.rank = std::atoi(std::getenv("TUTTI_TEST_RANK"));
  context.nRanks = std::atoi(std::getenv("TUTTI_TEST_NRANKS"));
  context.argument = std::getenv("TUTTI_TEST_ARGUMENT");
  const std::string hex = std::getenv("TUTTI_TEST_IDS");
  for (size_t at = 0; at + 256 <= hex.size(); at += 256) {
    UniqueId id;
    for (size_t i = 0; i < 128; ++i)
      id.bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(at + 2 * i, 2), nullptr, 16));
    context.ids.push_back(id);
  }
  std::exit(roles().at(name)(context));
}

}  // namespace

void RoleContext::say(const std::string& line) const {
  const std::string text = line + "\n";
  (void)!write(kToTest, text.data(), text.size());
}

std::string RoleContext::hear() const {
  static std::string buffer;
  return readLine(kFromTest, buffer, 60'000);
}

Role::Role(const std::string& name, std::function<int(const RoleContext&)> body) {
  roles()[name] = std::move(body);
}

Child::Child(const std::string& role, const std::vector<UniqueId>& ids, int rank, int nRanks,
             const std::string& argument, const std::vector<std::string>& environment) {
  signal(SIGPIPE, SIG_IGN);  // a role that has died hears nothing
  int up[2];
  int down[2];
  EXPECT_EQ(pipe2(up, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(down, O_CLOEXEC), 0);
  // Out of the way of the numbers that the role is to find them at.
  for (int* end : {&up[1], &down[0]}) {
    const int moved = fcntl(*end, F_DUPFD_CLOEXEC, kFromTest + 1);
    close(*end);
    *end = moved;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, up[1], kToTest);
  posix_spawn_file_actions_adddup2(&actions, down[0], kFromTest);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string hex;
  for (const UniqueId& id : ids) hex += hexOf(id);
  std::vector<std::string> variables = {
      "TUTTI_TEST_ROLE=" + role, "TUTTI_TEST_IDS=" + hex, fmt::format("TUTTI_TEST_RANK={}", rank),
      fmt::format("TUTTI_TEST_NRANKS={}", nRanks), "TUTTI_TEST_ARGUMENT=" + argument};
  variables.insert(variables.end(), environment.begin(), environment.end());
  for (char** each = environ; *each != nullptr; ++each) variables.emplace_back(*each);
  std::vector<char*> pointers;
  for (std::string& variable : variables) pointers.push_back(variable.data());
  pointers.push_back(nullptr);
  char self[] = "/proc/self/exe";
  char filter[] = "--gtest_filter=ChildProcess.DISABLED_Run";
  char disabled[] = "--gtest_also_run_disabled_tests";
  char* arguments[] = {self, filter, disabled, nullptr};
  EXPECT_EQ(posix_spawn(&pid_, self, &actions, nullptr, arguments, pointers.data()), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(up[1]);
  close(down[0]);
  fromChild_ = up[0];
  toChild_ = down[1];
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      fromChild_(std::exchange(other.fromChild_, -1)),
      toChild_(std::exchange(other.toChild_, -1)),
      buffer_(std::move(other.buffer_)) {}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (fromChild_ >= 0) close(fromChild_);
  if (toChild_ >= 0) close(toChild_);
}

std::string Child::hear() {
  return readLine(fromChild_, buffer_, kPatienceMs);
}

void Child::say(const std::string& line) {
  const std::string text = line + "\n";
  (void)!write(toChild_, text.data(), text.size());
}

void Child::kill(int signal) {
  ::kill(pid_, signal);
}

int Child::wait() {
  const Deadline deadline = Deadline::afterMs(kPatienceMs);
  int status = 0;
  while (!deadline.expired()) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    usleep(1000);
  }
  return -1000;
}

}  // namespace tutti::control::testing
