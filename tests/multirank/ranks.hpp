// Ranks for tests: n threads of this process, or n forked processes, each with a communicator.
#pragma once

#include <nccl.h>

#include <functional>
#include <string>
#include <vector>

namespace ranks {

/// What one rank does; returns "" or what went wrong.
using Body = std::function<std::string(int rank, int n, ncclComm_t comm)>;

struct Setting {
  std::string name, value;
};

/// Sets variables for a scope and makes the library read them again.
class Settings {
 public:
  explicit Settings(std::vector<Setting> settings);
  ~Settings();
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

 private:
  std::vector<std::pair<Setting, bool>> before_;
};

/// Runs `body` in n threads with a communicator of n ranks. Returns the complaints of all ranks, "" if there
/// are none.
std::string asThreads(int n, const Body& body);
/// The same with n processes, forked from a process that has not used the library. A rank that dies by a
/// signal is a complaint, unless it is `mayDie`.
/// `first` is called in each child before it makes its communicator.
std::string asProcesses(int n, const Body& body, int mayDie = -1,
                        const std::function<void(int rank)>& first = {});

/// What the processes of asProcesses() do before all else: to be on another host. {}: nothing.
void setPlacement(std::function<void(int rank)> placement);

/// "call: code (last error)" if the result is not ncclSuccess.
std::string failure(const char* call, ncclResult_t result, ncclComm_t comm = nullptr);

#define RANK_TRY(call)                                                           \
  do {                                                                           \
    if (std::string text = ranks::failure(#call, (call), comm); !text.empty()) { \
      return text;                                                               \
    }                                                                            \
  } while (false)

}  // namespace ranks
