// A keyed 128-bit message authentication code for the hub's handshake: SipHash-2-4 (Aumasson, Bernstein
// 2012), twice, over the message with a different first byte. Meant for short messages between processes of
// one job, not for bulk data.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace tutti::launch {

using Block128 = std::array<uint8_t, 16>;

/// SipHash-2-4 with a 128-bit key and a 64-bit result.
uint64_t sipHash(const Block128& key, std::string_view message);

/// The authentication code of `message` under `key`.
Block128 macOf(const Block128& key, std::string_view message);

/// Comparison whose time does not depend on where the blocks differ.
bool sameBlock(const Block128& a, const Block128& b);

/// A key that only those can make who know `text`. As secret as the text is.
Block128 keyFrom(std::string_view text);

/// From the kernel's random number generator.
Block128 randomBlock();

std::string toHex(const Block128& block);
Result<Block128> blockFromHex(std::string_view hex);

}  // namespace tutti::launch
