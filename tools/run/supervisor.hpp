// The heart of `tutti run`: starts the ranks, serves their exchange, passes signals and output on, and sees
// to it that all end when one fails.
//
// One thread, one poll() loop. States:
//   Running   until a rank fails, a signal tells us to stop, or --timeout passes
//   Waiting   the survivors of a failure have the grace to report and end by themselves
//   Stopping  they have got a signal to end, and the grace to obey; then SIGKILL
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/unique_fd.hpp"
#include "launch/hub.hpp"
#include "run/guard.hpp"
#include "run/options.hpp"
#include "run/output.hpp"
#include "run/spawn.hpp"

namespace tutti::tools::run {

class Supervisor {
 public:
  explicit Supervisor(const Options& options) : options_(options) {}
  ~Supervisor();

  /// Runs everything to its end; the exit status.
  Result<int> run();

 private:
  struct Rank {
    pid_t pid = 0;  ///< 0: not started, or reaped
    std::vector<LabelledStream> streams;
  };
  enum class State { Running, Waiting, Stopping };

  Status prepare();
  Status startRanks();
  void loopOnce();
  void handleSignals();
  void reap();
  void onEnded(int rank, int status);
  void onStopSignal(int signal);
  void suspend();
  void signalAll(int signal);
  void noteDeath(int rank, pid_t pid, int status);
  void stop(int signal, const std::string& why);
  void checkTime();
  int pollTimeoutMs() const;
  void pumpInput(bool readable);
  bool readsTerminal() const;
  void endEverything();
  std::string running() const;
  int runningCount() const;

  Options options_;
  SpawnPlan plan_{};
  std::unique_ptr<Guard> guard_;
  std::unique_ptr<launch::Hub> hub_;
  UniqueFd signals_;
  UniqueFd deaths_;  ///< what ranks read of each other's deaths: control/job_deaths.hpp
  std::vector<Rank> ranks_;
  State state_ = State::Running;
  Deadline timeout_ = Deadline::never();  // of --timeout
  Deadline grace_ = Deadline::never();    // of Waiting and Stopping
  int exitStatus_ = 0;
  bool killed_ = false;  // SIGKILL has been sent

  // Terminal input for rank 0, which as a background group may not read the terminal itself.
  UniqueFd input_;
  std::string inputPending_;
};

}  // namespace tutti::tools::run
