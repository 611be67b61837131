// Which rank am I, how many are there, and how do a few bytes (the unique id) travel between the ranks before
// any communicator exists. Works under `tutti run`, Open MPI, MPICH, Intel MPI, torchrun and Slurm without
// being linked to any of them: the answers come from the environment, the bytes travel over a small hub that
// one process serves.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace tutti::launch {

/// Where this process stands among the processes that were started together. Without a launcher: one rank.
struct World {
  int rank = 0;
  int size = 1;
  int localRank = 0;  ///< rank among the processes of this host
  int localSize = 1;  ///< processes on this host
  std::string launcher =
      "none";  ///< "tutti run", "open-mpi", "mpich", "intel-mpi", "torchrun", "slurm", "environment", "none"
};

/// Looks up one environment variable; nullptr when it is not set.
using Environment = std::function<const char*(const char* name)>;

/// Reads the world from this process's environment. Fails when a launcher's variables are there but make no
/// sense.
Result<World> detect();
/// The same from an environment that the caller supplies (tests).
Result<World> detect(const Environment& environment);

/// Small messages between all ranks of a World. Every call is collective: all ranks make the same calls in
/// the same order. A rank that calls something else, leaves, or does not come within TUTTI_INIT_TIMEOUT_MS
/// makes the call fail on the others with an error that names it. After an error the Exchange is of no
/// further use.
///
/// Meant for set-up and for coarse barriers: all data passes through one process, which receives n
/// contributions and sends n answers. One contribution may be up to 16 MiB.
///
/// Thread safety: one thread at a time.
class Exchange {
 public:
  /// Collective: returns when all ranks have come.
  static Result<std::unique_ptr<Exchange>> open(const World& world);

  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  /// After it, all ranks hold root's `bytes` bytes in `data`. All ranks pass the same `bytes` and `root`.
  Status broadcast(void* data, size_t bytes, int root);
  /// What each rank passed, by rank. Lengths may differ.
  Result<std::vector<std::string>> allGather(std::string_view mine);
  /// Returns after all ranks have called it.
  Status barrier();

 protected:
  enum class Operation : unsigned char { Barrier = 1, Broadcast = 2, AllGather = 3 };

  explicit Exchange(const World& world) : world_(world) {}
  /// Barrier answers nothing, Broadcast root's bytes, AllGather n times (32-bit little-endian length, bytes).
  virtual Result<std::string> call(Operation operation, int root, std::string_view mine) = 0;

  World world_;
};

/// For a program's --help: the launchers that are understood, and which one was seen now.
std::string helpText();

}  // namespace tutti::launch
