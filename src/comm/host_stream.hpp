// HostStream: a queue of work in order, with a thread of its own; what a CUDA stream is to device work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
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
  /// Shared with the thread: the stream may be destroyed by a piece of work on it that held its last owner.
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<Status()>> queue;
    bool busy = false;
    bool closing = false;
    Status firstError;
  };
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

}  // namespace tutti::comm
