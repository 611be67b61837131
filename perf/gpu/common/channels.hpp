#pragma once

#include <cstdint>

namespace tutti::gpuperf {

// What one side of a ping-pong found; zeroed by the host before the launch.
struct PingPongResult {
  uint64_t ns;      // of the timed rounds
  uint32_t rounds;  // timed rounds that came back before the bound
  uint32_t torn;    // data that was not there although its flag was
  uint32_t sm;
  uint32_t done;         // 1 when written
  uint64_t firstWaitNs;  // from the kernel's start to the partner's first message
};

}  // namespace tutti::gpuperf
