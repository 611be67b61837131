#include "watchdog.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "machine.hpp"

namespace tutti::perf {

Watchdog::Watchdog(int seconds, std::vector<ncclComm_t> comms) : seconds_(seconds), comms_(std::move(comms)) {
  if (seconds_ > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::start() {
  if (seconds_ == 0) return;
  std::lock_guard lock(mutex_);
  testing_ = true;
  ++test_;
  changed_.notify_all();
}

void Watchdog::stop() {
  if (seconds_ == 0) return;
  std::lock_guard lock(mutex_);
  testing_ = false;
  changed_.notify_all();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!testing_) {
      changed_.wait(lock, [&] { return testing_ || ending_; });
      continue;
    }
    unsigned watched = test_;
    bool moved = changed_.wait_for(lock, std::chrono::seconds(seconds_),
                                   [&] { return ending_ || !testing_ || test_ != watched; });
    if (moved) continue;
    std::fprintf(stderr, "%s: Test timeout (%ds)\n", hostName().c_str(), seconds_);
    std::fflush(stdout);
    for (ncclComm_t comm : comms_) ncclCommAbort(comm);
    _exit(EXIT_FAILURE);  // the threads inside aborted calls would only tell the same again
  }
}

}  // namespace tutti::perf
