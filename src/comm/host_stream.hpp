// HostStream: a queue of work in order, with a thread of its own; what a CUDA stream is to device work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "core/result.hpp"

namespace tutti::comm {

/// Thread safety: all calls from any thread. The first error of a piece of work is kept and reported by
/// synchronize() and query(); later work still runs.
class HostStream {
 public:
  HostStream();
  /// Finishes what is queued.
  ~HostStream();
  HostStream(const HostStream&) = delete;
  HostStream& operator=(const HostStream&) = delete;

  void push(std::function<Status()> work);
  /// Waits until everything pushed before is done; returns the first error since the last synchronize().
  /// Called from the stream's own thread (a callback) it is InvalidUsage: it would wait for itself.
  Status synchronize();
  /// Success when idle, InProgress while busy, else the first error.
  Status query();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<Status()>> queue_;
  bool busy_ = false;
  bool closing_ = false;
  Status firstError_;
  std::thread thread_;
};

}  // namespace tutti::comm
