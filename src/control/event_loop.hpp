// EventLoop: one thread, epoll, timers, and tasks from other threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "control/tracked_fd.hpp"
#include "core/result.hpp"

namespace tutti::control {

/// Thread safety: start, stop, post from any thread; all else on the loop's thread only.
class EventLoop {
 public:
  using Task = std::function<void()>;
  using FdHandler = std::function<void(uint32_t epollEvents)>;
  struct TimerId {
    int64_t atNs = 0;
    uint64_t number = 0;  ///< 0: no timer
    auto operator<=>(const TimerId&) const = default;
  };

  ~EventLoop() { stop(); }
  Status start();
  /// Ends the thread after what has been posted so far, and waits for it. Idempotent.
  void stop();

  /// Runs `task` on the loop's thread, in order of posting. After stop: never.
  void post(Task task);
  /// Runs `task` after what is being done now: what a node says to one in the same process goes this way.
  void defer(Task task) { deferred_.push_back(std::move(task)); }

  /// Calls `handler` while events hold (level-triggered). One watch per fd; unwatch before closing it.
  Status watch(int fd, uint32_t epollEvents, FdHandler handler);
  void rewatch(int fd, uint32_t epollEvents);
  void unwatch(int fd);

  TimerId callAt(int64_t atNs, Task task);
  TimerId callAfterMs(int64_t ms, Task task);
  void cancel(TimerId& timer);  ///< and clears it; harmless if it has run

 private:
  void run();
  void runTasks();
  int timeoutMs() const;

  struct Watch {
    FdHandler handler;
    uint64_t number;
  };

  TrackedFd epoll_;
  TrackedFd wake_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  std::mutex postedMutex_;
  std::vector<Task> posted_;

  std::deque<Task> deferred_;
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::map<TimerId, Task> timers_;
  uint64_t lastNumber_ = 0;
};

}  // namespace tutti::control
