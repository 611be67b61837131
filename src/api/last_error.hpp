// What ncclGetLastError tells: the last error of each thread, and of each communicator.
#pragma once

#include <mutex>
#include <string>

#include "core/result.hpp"

namespace tutti::api {

/// The last error of the calling thread; "" when there was none.
const std::string& threadLastError();
void setThreadLastError(const std::string& text);

/// A text that one thread sets and another reads. Thread safety: all calls from any thread.
class SharedText {
 public:
  void set(const std::string& text) {
    std::lock_guard lock(mutex_);
    text_ = text;
  }
  std::string get() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

}  // namespace tutti::api
