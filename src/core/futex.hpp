// Sleeping on a 32-bit word, also one in memory that processes share.
#pragma once

#include <atomic>
#include <cstdint>

namespace tutti {

/// Sleeps while `*word == expected`, for at most `timeoutNs` (negative: no limit). False only when the time
/// ran out; true on a wake-up, a signal, or at once where the word differs. May return true for no reason:
/// the caller looks again, at the abort flag too, so a limit of some milliseconds belongs in every loop.
///
/// Not FUTEX_PRIVATE: the word may be mapped by several processes at different addresses. Orders nothing:
/// load the word with acquire after it returns, as after any wait.
bool futexWait(const std::atomic<uint32_t>* word, uint32_t expected, int64_t timeoutNs);

/// Wakes up to `count` sleepers, in whatever process. Store the new value (release) before. Returns how many
/// woke.
int futexWake(const std::atomic<uint32_t>* word, int count);

/// Wakes all sleepers.
int futexWakeAll(const std::atomic<uint32_t>* word);

}  // namespace tutti
