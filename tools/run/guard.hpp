// The guard: a small process beside `tutti run` that ends the ranks when `tutti run` itself is killed.
//
// The kernel already kills the ranks then (PR_SET_PDEATHSIG), but not what they started. The guard sees the
// end of a pipe, kills the ranks' process groups and every process that carries the run's mark in its
// environment, and ends.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "core/result.hpp"
#include "core/unique_fd.hpp"

namespace tutti::tools::run {

class Guard {
 public:
  /// `mark` is the assignment "TUTTI_JOB=..." that all processes of the run inherit.
  static Result<std::unique_ptr<Guard>> start(int ranks, const std::string& mark);
  /// Dismisses the guard and waits for its end.
  ~Guard();

  pid_t pid() const { return pid_; }
  /// Tells the guard the process group of a rank; 0 when the group has ended.
  void setGroup(int rank, pid_t group);

 private:
  Guard() = default;

  pid_t pid_ = -1;
  int ranks_ = 0;
  pid_t* groups_ = nullptr;  // shared with the guard
  UniqueFd line_;            // its closing without a word is the alarm
};

}  // namespace tutti::tools::run
