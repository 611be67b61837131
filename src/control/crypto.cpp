#include "control/crypto.hpp"

#include <sodium.h>

#include <cstdlib>

namespace tutti::control {
namespace {

// Fails only where the kernel gives no random bytes; nothing could be kept secret then.
void ensureSodium() {
  static const bool ready = sodium_init() >= 0;
  if (!ready) std::abort();
}

}  // namespace

void randomBytes(std::span<uint8_t> out) {
  ensureSodium();
  randombytes_buf(out.data(), out.size());
}

uint64_t randomU64() {
  uint64_t value = 0;
  randomBytes({reinterpret_cast<uint8_t*>(&value), sizeof(value)});
  return value;
}

Mac hmac(std::span<const uint8_t> key, std::initializer_list<std::span<const uint8_t>> parts) {
  ensureSodium();
  static_assert(crypto_auth_hmacsha256_BYTES == std::tuple_size_v<Mac>);
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, key.data(), key.size());
  for (std::span<const uint8_t> part : parts) {
    uint8_t length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(part.size() >> (8 * i));
    crypto_auth_hmacsha256_update(&state, length, sizeof(length));
    crypto_auth_hmacsha256_update(&state, part.data(), part.size());
  }
  Mac mac;
  crypto_auth_hmacsha256_final(&state, mac.data());
  return mac;
}

bool equalMacs(const Mac& a, const Mac& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tutti::control
