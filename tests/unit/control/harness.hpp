// Ranks as threads of the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "control/control_plane.hpp"

namespace tutti::control::testing {

inline Wait within(int64_t ms) {
  return Wait{Deadline::afterMs(ms), nullptr};
}

inline Bytes bytesOfText(const std::string& text) {
  return Bytes(text.begin(), text.end());
}
inline std::string textOf(std::span<const uint8_t> bytes) {
  return std::string(bytes.begin(), bytes.end());
}

inline std::string describe(const CallRecord& call) {
  return fmt::format("Op{}(count {})", call.kind, call.count);
}

/// Runs body(rank) on n threads and waits for all.
inline void onThreads(int n, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(n));
  for (int rank = 0; rank < n; ++rank) threads.emplace_back([&body, rank] { body(rank); });
  for (std::thread& thread : threads) thread.join();
}

inline JoinOptions joinOptions(const std::vector<UniqueId>& ids, int rank, int nRanks, int64_t ms = 30'000) {
  JoinOptions options;
  options.ids = ids;
  options.rank = rank;
  options.nRanks = nRanks;
  options.selfInfo = bytesOfText(fmt::format("info of {}", rank));
  options.wait = within(ms);
  options.describe = describe;
  return options;
}

using Planes = std::vector<std::unique_ptr<ControlPlane>>;

/// A communicator of n threads of this process; every join must succeed.
inline Planes makePlanes(int n, int nIds = 1) {
  std::vector<UniqueId> ids;
  for (int i = 0; i < nIds; ++i) {
    auto id = createUniqueId();
    EXPECT_TRUE(id.ok()) << id.error().message();
    ids.push_back(id.value());
  }
  Planes planes(static_cast<size_t>(n));
  onThreads(n, [&](int rank) {
    auto plane = ControlPlane::join(joinOptions(ids, rank, n));
    ASSERT_TRUE(plane.ok()) << plane.error().message();
    planes[static_cast<size_t>(rank)] = std::move(plane).value();
  });
  return planes;
}

/// Waits (up to 10 s) until `condition` holds.
inline bool eventually(const std::function<bool()>& condition) {
  const Deadline deadline = Deadline::afterMs(10'000);
  while (!condition()) {
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace tutti::control::testing
