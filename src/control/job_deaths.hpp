// JobDeaths: which processes of the job have died, as far as the launcher tells.
//
// A process that dies before it has connected to anybody is known to its launcher alone. `tutti run` keeps a
// list in memory and names it in TUTTI_DEATHS (a path that its ranks can open): "<TUTTI_JOB>\n", then a line
// "<rank> <pid> <how>" for each process that did not end with exit status 0. Without such a launcher the list
// is empty, and a rank that never comes is known by TUTTI_INIT_TIMEOUT_MS only.
#pragma once

#include <string>
#include <vector>

#include "core/unique_fd.hpp"

namespace tutti::control {

struct Death {
  int rank = 0;  ///< as the launcher counts: of the process
  int pid = 0;
  std::string how;  ///< "was killed by signal 9 (Killed)"
};

/// Thread safety: one thread at a time.
class JobDeaths {
 public:
  /// The list of this process's job; one that stays empty if there is none.
  static JobDeaths ofThisJob();

  /// How many processes the launcher started; 0: there is no list.
  int size() const { return size_; }
  /// All up to now. A system call: not for hot paths.
  std::vector<Death> read() const;

 private:
  UniqueFd fd_;
  std::string head_;
  int size_ = 0;
};

/// The lines after `head` that are complete. Pure.
std::vector<Death> parseDeaths(const std::string& text, const std::string& head);

}  // namespace tutti::control
