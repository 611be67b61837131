// Completion: a result that the service thread will give and one thread of the API waits for.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "control/control_plane.hpp"

namespace tutti::control {

/// Thread safety: complete from any thread, the first one counts; wait by one thread.
template <typename T>
class Completion {
 public:
  /// False, and `result` is untouched, if there is a result already (the waiter has given up).
  bool complete(Result<T>&& result) {
    const std::lock_guard lock(mutex_);
    if (result_.has_value()) return false;
    result_.emplace(std::move(result));
    changed_.notify_all();
    return true;
  }

  /// The result; or Timeout or InvalidUsage (aborted) errors, which then are the result: a later complete()
  /// has no effect. `graceMs` is added to the deadline, for waits where someone else is to report the timeout
  /// in better words.
  Result<T> wait(const Wait& wait, int graceMs = 0) {
    std::unique_lock lock(mutex_);
    Deadline grace = Deadline::never();
    bool late = false;
    while (!result_.has_value()) {
      // relaxed: the flag carries nothing but itself.
      if (wait.abort != nullptr && wait.abort->load(std::memory_order_relaxed)) {
        result_.emplace(Error(Code::InvalidUsage, "aborted by this rank"));
        break;
      }
      if (!late && wait.deadline.expired()) {
        late = true;
        grace = Deadline::afterMs(graceMs);
      }
      if (late && grace.expired()) {
        result_.emplace(Error(Code::Timeout, "timed out"));
        break;
      }
      // Nobody rings when the abort flag changes: look at it often enough.
      const int capMs = wait.abort != nullptr ? 40 : 60'000;
      const int ms = std::max(1, (late ? grace : wait.deadline).remainingMs(capMs));
      changed_.wait_until(lock, std::chrono::steady_clock::now() + std::chrono::milliseconds(ms));
    }
    return std::move(*result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<T>> result_;
};

struct Nothing {};
using Done = Completion<Nothing>;
template <typename T>
using CompletionPtr = std::shared_ptr<Completion<T>>;

}  // namespace tutti::control
