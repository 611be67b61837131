// LL messages: lines of 56 data bytes and an 8-byte flag. One cache-line transfer carries data and its own
// readiness.
//
// Memory semantics: the data of a line is stored first, its flag last (release); the reader loads the flag
// first (acquire). On x86 both are plain moves. A line is written again only after its reader has given the
// slot back.
#pragma once

#include <cstring>

#include "transport/layout.hpp"

namespace tutti::transport {

/// Flag of message number `n` (0, 1, ...) with `signature`.
inline uint64_t llFlag(uint64_t n, uint32_t signature) {
  return (n + 1) << 32 | signature;
}

inline size_t llLinesFor(size_t bytes) {
  return (bytes + kLLLineData - 1) / kLLLineData;
}

enum class LLState { NotThere, There, Foreign };

/// Whether all lines of an LL message of `bytes` have come; Foreign: message n is there with another
/// signature.
inline LLState llCheck(const LLLine* lines, size_t bytes, uint64_t flag) {
  for (size_t i = llLinesFor(bytes); i-- > 0;) {  // the last line is written last: ask it first
    uint64_t seen = lines[i].flag.load(std::memory_order_acquire);
    if (seen == flag) continue;
    return (seen >> 32) == (flag >> 32) ? LLState::Foreign : LLState::NotThere;
  }
  return LLState::There;
}

/// The same of `bytes` bytes from line `at` on of message `n`, which has `lines` lines in all.
inline LLState llCheck(const LLArea& area, uint64_t n, uint32_t signature, size_t lines, size_t at,
                       size_t bytes) {
  const uint64_t flag = llFlag(n, signature);
  const LLState state = llCheck(area.slot(n, lines) + at, bytes, flag);
  if (state != LLState::NotThere) return state;
  // One of another size lies elsewhere.
  const uint64_t seen = area.otherSlot(n, lines)->flag.load(std::memory_order_acquire);
  return (seen >> 32) == (flag >> 32) ? LLState::Foreign : state;
}

inline void llPack(LLLine* lines, const void* data, size_t bytes, uint64_t flag) {
  const auto* from = static_cast<const std::byte*>(data);
  for (; bytes >= kLLLineData; bytes -= kLLLineData, from += kLLLineData, ++lines) {
    std::memcpy(lines->data, from, kLLLineData);
    lines->flag.store(flag, std::memory_order_release);
  }
  if (bytes > 0) {
    std::memcpy(lines->data, from, bytes);
    lines->flag.store(flag, std::memory_order_release);
  }
}

/// REQUIRES llCheck() == There.
inline void llUnpack(void* data, const LLLine* lines, size_t bytes) {
  auto* to = static_cast<std::byte*>(data);
  for (; bytes >= kLLLineData; bytes -= kLLLineData, to += kLLLineData, ++lines)
    std::memcpy(to, lines->data, kLLLineData);
  if (bytes > 0) std::memcpy(to, lines->data, bytes);
}

}  // namespace tutti::transport
