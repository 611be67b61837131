#include "launch/mac.hpp"

#include <sys/random.h>

#include <bit>
#include <cstring>

namespace tutti::launch {
namespace {

uint64_t load64(const char* from) {
  uint64_t value;
  std::memcpy(&value, from, sizeof(value));  // little-endian hosts only, like the rest of the library
  return value;
}

struct SipState {
  uint64_t v0, v1, v2, v3;

  SipState(uint64_t k0, uint64_t k1)
      : v0(k0 ^ 0x736f6d6570736575ull),
        v1(k1 ^ 0x646f72616e646f6dull),
        v2(k0 ^ 0x6c7967656e657261ull),
        v3(k1 ^ 0x7465646279746573ull) {}

  void round() {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t sipHash(const Block128& key, std::string_view message) {
  const char* keyBytes = reinterpret_cast<const char*>(key.data());
  SipState state(load64(keyBytes), load64(keyBytes + 8));
  size_t whole = message.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) state.absorb(load64(message.data() + at));
  uint64_t last = static_cast<uint64_t>(message.size()) << 56;
  for (size_t i = whole; i < message.size(); ++i) {
    last |= static_cast<uint64_t>(static_cast<uint8_t>(message[i])) << (8 * (i - whole));
  }
  state.absorb(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

Block128 macOf(const Block128& key, std::string_view message) {
  Block128 result;
  std::string tagged(1, '\0');
  tagged += message;
  for (int half = 0; half < 2; ++half) {
    tagged[0] = static_cast<char>(half);
    uint64_t hash = sipHash(key, tagged);
    std::memcpy(result.data() + 8 * half, &hash, 8);
  }
  return result;
}

bool sameBlock(const Block128& a, const Block128& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

Block128 keyFrom(std::string_view text) {
  static constexpr Block128 kDomain = {'t', 'u', 't', 't', 'i', ' ', 'l', 'a',
                                       'u', 'n', 'c', 'h', ' ', 'k', 'e', 'y'};
  return macOf(kDomain, text);
}

Block128 randomBlock() {
  Block128 block;
  size_t filled = 0;
  while (filled < block.size()) {
    ssize_t got = getrandom(block.data() + filled, block.size() - filled, 0);
    if (got > 0)
      filled += static_cast<size_t>(got);  // else EINTR: the call has no other error for so few bytes
  }
  return block;
}

std::string toHex(const Block128& block) {
  std::string hex;
  for (uint8_t byte : block) hex += fmt::format("{:02x}", byte);
  return hex;
}

Result<Block128> blockFromHex(std::string_view hex) {
  Block128 block;
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (hex.size() != 2 * block.size()) return makeError(Code::InvalidArgument, "not 32 hexadecimal digits");
  for (size_t i = 0; i < block.size(); ++i) {
    int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return makeError(Code::InvalidArgument, "not 32 hexadecimal digits");
    block[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return block;
}

}  // namespace tutti::launch
