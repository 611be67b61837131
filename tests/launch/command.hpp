// Running commands from tests: with their output, exit status, and a limit in time.
#pragma once

#include <sys/types.h>

#include <string>

namespace tutti::test {

struct Outcome {
  int status = -1;  ///< exit status, or 128 + signal
  std::string out;
  std::string err;
};

/// A shell command in the background, in a process group of its own. The shell's `exec` makes the command the
/// process itself.
class Background {
 public:
  explicit Background(const std::string& shellCommand);
  /// Kills the group where it still runs.
  ~Background();

  pid_t pid() const { return pid_; }
  /// Waits until standard output holds `text`; false after the limit.
  bool waitForOutput(const std::string& text, int limitMs = 20'000);
  /// Waits for the end; kills the group and adds a line to `err` after the limit.
  Outcome finish(int limitMs = 60'000);

 private:
  bool pump(int timeoutMs);
  void fill(int& fd, std::string& to);

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  Outcome outcome_;
};

Outcome run(const std::string& shellCommand, int limitMs = 60'000);

/// "TUTTI_TEST_MARK=<new>": in front of a command it marks everything that the command starts.
std::string newMark();
/// Living processes that carry the mark; zombies do not count.
int countMarked(const std::string& mark);
/// Waits until none does; false after the limit.
bool waitForNone(const std::string& mark, int limitMs = 10'000);

/// Full path of a program in PATH; empty when there is none.
std::string which(const std::string& name);

}  // namespace tutti::test
