// TrackedFd: a socket of the control service, which a forked child must close at once: a copy kept open there
// would hide the parent's death from its peers.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/unique_fd.hpp"

namespace tutti::control {

/// Counts forks on the way from the first process to this one. Whatever the service made in an earlier
/// generation belongs to the parent.
uint32_t processGeneration();

/// Move-only owner. In a forked child, the descriptors of the parent's TrackedFds are closed by the fork
/// handler, and these objects do nothing more.
class TrackedFd {
 public:
  TrackedFd() = default;
  explicit TrackedFd(UniqueFd fd);
  TrackedFd(TrackedFd&& other) noexcept : fd_(std::move(other.fd_)), generation_(other.generation_) {}
  TrackedFd& operator=(TrackedFd&& other) noexcept;
  ~TrackedFd() { reset(); }

  int get() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  void reset();
  /// No longer tracked; the caller owns it.
  UniqueFd release();

 private:
  UniqueFd fd_;
  uint32_t generation_ = 0;
};

/// For the fork handler, in the child: closes every tracked descriptor and starts a new generation.
/// Async-signal-safe.
void closeTrackedFdsInChild();

}  // namespace tutti::control
