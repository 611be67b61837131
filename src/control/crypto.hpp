// Random bytes and keyed hashes (libsodium), and a plain 64-bit hash for checksums.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace tutti::control {

using Mac = std::array<uint8_t, 32>;

void randomBytes(std::span<uint8_t> out);
uint64_t randomU64();

/// HMAC-SHA-256 over the parts, each preceded by its length.
Mac hmac(std::span<const uint8_t> key, std::initializer_list<std::span<const uint8_t>> parts);
/// In constant time.
bool equalMacs(const Mac& a, const Mac& b);

/// FNV-1a: checksums and names, no security.
constexpr uint64_t hash64(std::span<const uint8_t> data, uint64_t seed = 0xcbf29ce484222325ull) {
  for (uint8_t byte : data) seed = (seed ^ byte) * 0x100000001b3ull;
  return seed;
}
inline std::span<const uint8_t> bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace tutti::control
