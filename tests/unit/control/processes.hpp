// Ranks as processes: the test program starts itself again, and the new process runs one named role.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/control_plane.hpp"

namespace tutti::control::testing {

struct RoleContext {
  std::vector<UniqueId> ids;
  int rank = 0;
  int nRanks = 1;
  std::string argument;

  /// Sends a line to the test.
  void say(const std::string& line) const;
  /// Waits for a line from the test; "" at its end.
  std::string hear() const;
};

/// Roles by name; the value is the exit status. Filled by static objects of this type in the test files.
struct Role {
  Role(const std::string& name, std::function<int(const RoleContext&)> body);
};

/// One process in a role. Killed, if it still runs, when this goes.
class Child {
 public:
  Child(const std::string& role, const std::vector<UniqueId>& ids, int rank, int nRanks,
        const std::string& argument = "", const std::vector<std::string>& environment = {});
  ~Child();
  Child(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  /// The next line it says; "" when it has ended, or after 20 s.
  std::string hear();
  void say(const std::string& line);
  void kill(int signal = SIGKILL);
  /// Exit status; -signal if it was killed; -1000 if it does not end within 20 s.
  int wait();

 private:
  pid_t pid_ = -1;
  int fromChild_ = -1;
  int toChild_ = -1;
  std::string buffer_;
};

}  // namespace tutti::control::testing
