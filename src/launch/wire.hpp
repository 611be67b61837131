// The hub's messages. A frame is a 32-bit little-endian length of what follows, one byte of type, and a body.
//
//   hub -> member   Challenge   magic, version, 16 random bytes
//   member -> hub   Hello       rank, size, generation, timeoutMs, 16 random bytes, code over both randoms
//   and the numbers hub -> member   Welcome     code over both randoms: the hub knows the key, too; sent when
//   all ranks have come member -> hub   Call        operation, root, data hub -> member   Answer      data
//   hub -> member   Failure     error code, text; the connection ends
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "launch/mac.hpp"

namespace tutti::launch {

inline constexpr uint32_t kWireMagic = 0x31545554;  // "TUT1"
inline constexpr uint32_t kWireVersion = 1;
inline constexpr uint32_t kMaxHelloBytes = 256;
inline constexpr uint32_t kMaxContributionBytes = 16u << 20;
inline constexpr uint32_t kMaxCallBytes = kMaxContributionBytes + 64;
inline constexpr int kMaxRanks = 1 << 16;

enum class Frame : uint8_t { Challenge = 1, Hello = 2, Welcome = 3, Call = 4, Answer = 5, Failure = 6 };

struct Hello {
  uint32_t rank = 0;
  uint32_t size = 0;
  uint32_t generation = 0;  ///< how many exchanges this process opened before
  uint32_t timeoutMs = 0;
  Block128 nonce{};
  Block128 code{};
};

/// Appends plain values to a message.
class Writer {
 public:
  explicit Writer(Frame type) : bytes_(4, '\0') { bytes_ += static_cast<char>(type); }
  Writer& u8(uint8_t value) { return raw(&value, 1); }
  Writer& u32(uint32_t value) { return raw(&value, 4); }
  Writer& block(const Block128& value) { return raw(value.data(), value.size()); }
  Writer& text(std::string_view value) { return raw(value.data(), value.size()); }
  /// The finished frame.
  std::string take() {
    uint32_t length = static_cast<uint32_t>(bytes_.size() - 4);
    std::memcpy(bytes_.data(), &length, 4);
    return std::move(bytes_);
  }

 private:
  Writer& raw(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }
  std::string bytes_;
};

/// Takes plain values off a message; past the end it yields zeros and ok() turns false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  uint8_t u8() { return value<uint8_t>(); }
  uint32_t u32() { return value<uint32_t>(); }
  Block128 block() { return value<Block128>(); }
  std::string_view rest() { return std::exchange(bytes_, {}); }
  std::string_view take(size_t size) {
    if (size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

 private:
  template <typename T>
  T value() {
    T result{};
    std::string_view taken = take(sizeof(T));
    if (!taken.empty()) std::memcpy(&result, taken.data(), sizeof(T));
    return result;
  }
  std::string_view bytes_;
  bool ok_ = true;
};

/// The code that a member proves its key with.
inline Block128 helloCode(const Block128& key, const Block128& hubNonce, const Hello& hello) {
  Writer message(Frame::Hello);
  message.block(hubNonce)
      .block(hello.nonce)
      .u32(hello.rank)
      .u32(hello.size)
      .u32(hello.generation)
      .u32(hello.timeoutMs);
  return macOf(key, message.take());
}

/// The code that the hub proves its key with.
inline Block128 welcomeCode(const Block128& key, const Block128& hubNonce, const Block128& memberNonce) {
  Writer message(Frame::Welcome);
  message.block(hubNonce).block(memberNonce);
  return macOf(key, message.take());
}

}  // namespace tutti::launch
