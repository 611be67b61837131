// The threads of this process and the processes of the run, acting as one: barriers, sums, gathers.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "launch/launch.hpp"
#include "options.hpp"

namespace tutti::perf {

/// How values of several ranks become one.
enum class Combine { Rank0, Mean, Min, Max, Sum };
Combine combineOf(Average average);

/// Thread safety: every call but the constructor is collective over all threads of all processes: each of the
/// `threads` threads of every process makes the same calls in the same order.
///
/// A thread that fails does not come to the next meeting; its process ends the run then (see program.cpp),
/// and the other processes get an error from the Exchange.
class Team {
 public:
  Team(launch::World world, std::unique_ptr<launch::Exchange> exchange, int threads)
      : world_(std::move(world)), exchange_(std::move(exchange)), threads_(threads), values_(threads) {}

  const launch::World& world() const { return world_; }

  Status barrier(int thread);
  /// Combines a value of every thread.
  Result<double> combine(int thread, double value, Combine how);
  /// Per process the element-wise maximum over its threads of `values` (same length everywhere), by process.
  Result<std::vector<std::vector<double>>> gatherMax(int thread, const std::vector<double>& values);

 private:
  /// Waits for all threads; the last one runs `last`, whose status all return.
  Status meet(const std::function<Status()>& last);

  launch::World world_;
  std::unique_ptr<launch::Exchange> exchange_;
  int threads_;

  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;          // under mutex_
  unsigned generation_ = 0;  // under mutex_
  std::string failure_;      // under mutex_; once set, every meeting fails

  std::vector<std::vector<double>>
      values_;  ///< each thread writes its own before a meeting; the last one reads all
  std::vector<std::vector<double>> result_;  ///< written in a meeting, read after it and before the next
};

}  // namespace tutti::perf
