// What all threads of a perf program share: who takes part, the communicators and buffers, and where results
// go.
#pragma once

#include <nccl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "buffer.hpp"
#include "collective.hpp"
#include "json_report.hpp"
#include "options.hpp"
#include "table.hpp"
#include "team.hpp"
#include "watchdog.hpp"

namespace tutti::perf {

/// One rank of this process.
struct LocalRank {
  int rank = 0;  ///< in its group
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  Buffer send;
  Buffer receive;
};

/// One process of the run, as all others know it.
struct Member {
  int color = 0;
  int pid = 0;
  int localRank = 0;
  std::string host;
  std::string cpu;
  size_t memory = 0;  ///< bytes to be had, shared by the processes of the host
};

class Session {
 public:
  Session(const Collective& collective, Options options, std::string program);
  ~Session();

  /// Meets the other processes, forms the groups, and checks that the run makes sense. Collective over
  /// processes.
  Status gather();
  /// Creates the communicators, streams and buffers of all ranks of this process.
  Status setUp();
  Status tearDown();

  /// Ends the process: says why, on stderr and in the -J file. Its other threads may be inside a call; the
  /// processes that wait for this one learn it from the library or from the Exchange.
  [[noreturn]] void fail(const Error& error);

  /// True in the one thread that prints.
  bool speaks(int thread) const { return team->world().rank == 0 && thread == 0; }
  int threadCount() const { return options.threads; }
  std::span<LocalRank> ranksOf(int thread) {
    return std::span(locals).subspan(static_cast<size_t>(thread) * options.ranksPerThread,
                                     options.ranksPerThread);
  }
  Versions versions() const;
  std::vector<RankInfo> devices() const;
  /// Bytes of each buffer, without guards.
  size_t bufferBytes() const;

  const Collective& collective;
  Options options;
  std::string program;

  std::unique_ptr<Team> team;
  std::vector<Member> members;
  int color = 0;
  int groupProcess = 0;  ///< this process in its group
  int groupProcesses = 1;
  int ranks = 1;  ///< of the communicator
  std::vector<LocalRank> locals;

  std::unique_ptr<JsonReport> json;  ///< rank 0 with -J
  std::mutex jsonMutex;
  std::unique_ptr<Watchdog> watchdog;

  // Written by thread 0 only.
  int wrongRows = 0;
  double busSum = 0;
  long busCount = 0;

  // Memory of this process, for -M.
  int64_t bytesBefore = 0, bytesBuffers = 0;
  std::atomic<int64_t> bytesComms = 0;  ///< any of the creating threads

 private:
  Status limitMemory();
  Status createRanks(std::span<LocalRank> some);
  Result<ncclUniqueId> agreeOnId();

  launch::World world_;
  std::unique_ptr<launch::Exchange> exchange_;  ///< moves into the team at the end of gather()
  ncclUniqueId id_{};
};

}  // namespace tutti::perf
