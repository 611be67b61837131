// -T: a test that takes too long is aborted from outside.
#pragma once

#include <nccl.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace tutti::perf {

/// Watches one test at a time. When it is late: says so, aborts the communicators, and ends the process.
class Watchdog {
 public:
  /// `seconds` 0: watches nothing. `comms` outlive the watchdog.
  Watchdog(int seconds, std::vector<ncclComm_t> comms);
  ~Watchdog();

  void start();
  void stop();

 private:
  void watch();

  int seconds_;
  std::vector<ncclComm_t> comms_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool testing_ = false;  // under mutex_
  bool ending_ = false;   // under mutex_
  unsigned test_ = 0;     // under mutex_; number of the running test
  std::thread thread_;
};

}  // namespace tutti::perf
