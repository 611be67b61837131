#include "control/tracked_fd.hpp"

#include <array>

namespace tutti::control {
namespace {

constexpr int kMaxTracked = 1 << 16;  // descriptors above are not tracked
std::array<std::atomic<uint64_t>, kMaxTracked / 64> gTracked{};
std::atomic<uint32_t> gGeneration{0};

// relaxed: the bits are read only by the child of a fork, which has one thread and a copy of all that its
// parent wrote.
void track(int fd) {
  if (fd >= 0 && fd < kMaxTracked) gTracked[fd / 64].fetch_or(1ull << (fd % 64), std::memory_order_relaxed);
}
void untrack(int fd) {
  if (fd >= 0 && fd < kMaxTracked)
    gTracked[fd / 64].fetch_and(~(1ull << (fd % 64)), std::memory_order_relaxed);
}

}  // namespace

uint32_t processGeneration() {
  return gGeneration.load(std::memory_order_relaxed);
}

TrackedFd::TrackedFd(UniqueFd fd) : fd_(std::move(fd)), generation_(processGeneration()) {
  track(fd_.get());
}

TrackedFd& TrackedFd::operator=(TrackedFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::move(other.fd_);
    generation_ = other.generation_;
  }
  return *this;
}

void TrackedFd::reset() {
  if (!fd_.valid()) return;
  if (generation_ != processGeneration()) {
    (void)fd_.release();
    return;
  }
  untrack(fd_.get());
  fd_.reset();
}

UniqueFd TrackedFd::release() {
  untrack(fd_.get());
  return std::move(fd_);
}

void closeTrackedFdsInChild() {
  for (size_t word = 0; word < gTracked.size(); ++word) {
    uint64_t bits = gTracked[word].exchange(0, std::memory_order_relaxed);
    for (; bits != 0; bits &= bits - 1) ::close(static_cast<int>(word * 64) + __builtin_ctzll(bits));
  }
  gGeneration.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace tutti::control
