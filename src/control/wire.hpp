// The bytes on the wire: a fixed-size handshake, then frames. Everything here is pure: bytes in, values or
// nothing out.
//
// Handshake (all numbers little-endian):
//   client -> server  Hello      "TUTTI-C1", key id u64, client nonce 16
//   server -> client  Challenge  server nonce 16, HMAC(secret, "server", key id, both nonces)
//   client -> server  Proof      HMAC(secret, "client", key id, both nonces)
// then frames both ways: length u32 (of the payload), type u8, three zero bytes, payload.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/call_history.hpp"
#include "control/crypto.hpp"
#include "control/fault.hpp"
#include "control/peer_info.hpp"
#include "control/unique_id.hpp"

namespace tutti::control {

using Bytes = std::vector<uint8_t>;
using Nonce = std::array<uint8_t, 16>;

/// Appends values to a byte string.
class Writer {
 public:
  void u8(uint8_t value) { bytes_.push_back(value); }
  void u16(uint16_t value) { put(value, 2); }
  void u32(uint32_t value) { put(value, 4); }
  void u64(uint64_t value) { put(value, 8); }
  void i32(int32_t value) { put(static_cast<uint32_t>(value), 4); }
  void raw(std::span<const uint8_t> data) {
    // Not insert(): GCC 12 then warns of an overflow that is none.
    const size_t before = bytes_.size();
    bytes_.resize(before + data.size());
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<ptrdiff_t>(before));
  }
  void text(std::string_view text, size_t maxBytes);  ///< u16 length; cut to maxBytes
  void blob(std::span<const uint8_t> data);           ///< u32 length
  void address(const Address& address);
  void peer(const PeerInfo& peer);
  void call(const CallRecord& call);
  Bytes take() { return std::move(bytes_); }

 private:
  void put(uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  Bytes bytes_;
};

/// Takes values off a byte string. Past the end, or on a length beyond its limit, it turns !ok() and gives
/// zeros from then on.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }
  size_t left() const { return rest_.size(); }
  uint8_t u8() { return static_cast<uint8_t>(get(1)); }
  uint16_t u16() { return static_cast<uint16_t>(get(2)); }
  uint32_t u32() { return static_cast<uint32_t>(get(4)); }
  uint64_t u64() { return get(8); }
  int32_t i32() { return static_cast<int32_t>(get(4)); }
  void raw(std::span<uint8_t> out);
  std::string text(size_t maxBytes);
  std::span<const uint8_t> blob(size_t maxBytes);  ///< borrows from the input
  Address address();
  PeerInfo peer();
  CallRecord call();
  void fail() { ok_ = false; }

 private:
  uint64_t get(size_t count);
  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

// ---- handshake

inline constexpr size_t kHelloBytes = 32;
inline constexpr size_t kChallengeBytes = 48;
inline constexpr size_t kProofBytes = 32;

struct Hello {
  uint64_t keyId = 0;
  Nonce nonce{};
};
struct Challenge {
  Nonce nonce{};
  Mac mac{};
};
Bytes encodeHello(const Hello& hello);
std::optional<Hello> decodeHello(std::span<const uint8_t> bytes);
Bytes encodeChallenge(const Challenge& challenge);
std::optional<Challenge> decodeChallenge(std::span<const uint8_t> bytes);
/// `side` is "server" or "client": the two sides prove different things, so that a proof cannot be mirrored.
Mac proofOf(std::string_view side, const Secret& secret, uint64_t keyId, const Nonce& client,
            const Nonce& server);

// ---- frames

enum class FrameType : uint8_t {
  // rendezvous
  CheckIn = 1,
  Relay,
  Welcome,
  Ready,
  JoinFail,
  JoinDone,
  // tree
  Link = 16,
  Gather,
  GatherResult,
  // floods
  Fault = 32,
  Left,
  Probe,
  Survey,
  SurveyReply,
  // brokering
  Stream = 48,
  StreamAck,
  Fetch,
  FetchReply,
};
inline constexpr size_t kFrameHeaderBytes = 8;
inline constexpr size_t kMaxText = 1024;
inline constexpr int kMaxRanks = 1 << 16;

struct FrameHeader {
  uint32_t length = 0;
  FrameType type{};
};
std::array<uint8_t, kFrameHeaderBytes> encodeHeader(FrameHeader header);
/// Nothing if the type is unknown, or the length is more than such a frame may have.
std::optional<FrameHeader> decodeHeader(std::span<const uint8_t> bytes);
size_t maxPayload(FrameType type);

/// Hides or reveals `secret` between two who know `key`; the nonce must be fresh for each use.
Secret maskSecret(const Secret& secret, const Secret& key, uint64_t nonce);

/// A rank reports at the root of its id, which passes it on to root 0.
struct CheckInMsg {
  uint32_t rank = 0, nRanks = 0, nIds = 0, idIndex = 0;
  uint64_t joinNonce = 0;  ///< of this attempt to join
  uint32_t timeoutMs = 0;  ///< left until the caller's deadline
  PeerInfo peer;
  uint64_t firstId = 0;  ///< of root 0, and where it is
  Address firstAddress;
  Secret
      firstSecret{};  ///< masked: what the root of another id must prove to root 0. All 0 for root 0 itself
};
struct RelayMsg {
  uint32_t index = 0;
  PeerInfo peer;
};
/// Root to each rank: who it is, for messages should it die. rank: one that lives in its process, or -1.
struct WelcomeMsg {
  int32_t rank = -1;
  PeerInfo root;
};
struct ReadyMsg {
  uint32_t rank = 0;
  uint64_t commId = 0;
  bool hasParent = false;
  PeerInfo parent;
};
/// Root to rank, or rank to root. rank: the one addressed; kEveryRank for all.
struct JoinFailMsg {
  uint32_t rank = 0;
  int32_t code = 0;
  std::string text;
};
inline constexpr uint32_t kEveryRank = 0xffffffff;
struct JoinDoneMsg {
  uint32_t rank = 0;
};
/// First frame on a link of the tree.
struct LinkMsg {
  uint64_t commId = 0;
  uint32_t from = 0, to = 0;
  PeerInfo peer;
};
struct GatherEntry {
  uint32_t rank = 0;
  std::span<const uint8_t> data;  ///< borrows from the message
};
struct GatherMsg {
  uint32_t seq = 0;
  std::vector<GatherEntry> entries;
};
struct FaultMsg {
  FaultKind kind{};
  int32_t rank = -1;
  std::string text;
};
struct LeftMsg {
  uint32_t rank = 0;
  uint64_t lastCall = 0;
};
struct ProbeMsg {
  uint32_t rank = 0;
  CallRecord call;
};
enum class SurveyOf : uint8_t { Calls = 0, Gathers = 1 };
struct SurveyMsg {
  uint32_t origin = 0;
  uint64_t id = 0;
  SurveyOf of{};
  uint64_t seq = 0;
};
/// One rank's answer, passed back along the way that the survey came.
struct SurveyReplyMsg {
  uint32_t origin = 0;
  uint64_t id = 0;
  uint32_t rank = 0;
  bool behind = false;  ///< it has not come to what was asked for
  CallRecord last;      ///< its newest call; seq 0: none yet
};
struct StreamMsg {
  uint64_t commId = 0;
  uint32_t from = 0, to = 0, tag = 0;
};
struct FetchMsg {
  uint64_t commId = 0;
  uint32_t from = 0, owner = 0, name = 0;
};
struct FetchReplyMsg {
  std::string error;  ///< empty: the descriptor comes with this frame
};
struct StreamAckMsg {
  std::string error;
};

Bytes encode(const CheckInMsg&);
Bytes encode(const RelayMsg&);
Bytes encode(const WelcomeMsg&);
Bytes encode(const ReadyMsg&);
Bytes encode(const JoinFailMsg&);
Bytes encode(const JoinDoneMsg&);
Bytes encode(const LinkMsg&);
Bytes encode(const GatherMsg&);
Bytes encode(const FaultMsg&);
Bytes encode(const LeftMsg&);
Bytes encode(const ProbeMsg&);
Bytes encode(const SurveyMsg&);
Bytes encode(const SurveyReplyMsg&);
Bytes encode(const StreamMsg&);
Bytes encode(const FetchMsg&);
Bytes encode(const FetchReplyMsg&);
Bytes encode(const StreamAckMsg&);

/// Decoders take a whole payload and give nothing if it is not exactly one such message with values in range.
std::optional<CheckInMsg> decodeCheckIn(std::span<const uint8_t>);
std::optional<RelayMsg> decodeRelay(std::span<const uint8_t>);
std::optional<WelcomeMsg> decodeWelcome(std::span<const uint8_t>);
std::optional<ReadyMsg> decodeReady(std::span<const uint8_t>);
std::optional<JoinFailMsg> decodeJoinFail(std::span<const uint8_t>);
std::optional<JoinDoneMsg> decodeJoinDone(std::span<const uint8_t>);
std::optional<LinkMsg> decodeLink(std::span<const uint8_t>);
/// The entries borrow from `payload`.
std::optional<GatherMsg> decodeGather(std::span<const uint8_t> payload);
std::optional<FaultMsg> decodeFault(std::span<const uint8_t>);
std::optional<LeftMsg> decodeLeft(std::span<const uint8_t>);
std::optional<ProbeMsg> decodeProbe(std::span<const uint8_t>);
std::optional<SurveyMsg> decodeSurvey(std::span<const uint8_t>);
std::optional<SurveyReplyMsg> decodeSurveyReply(std::span<const uint8_t>);
std::optional<StreamMsg> decodeStream(std::span<const uint8_t>);
std::optional<FetchMsg> decodeFetch(std::span<const uint8_t>);
std::optional<FetchReplyMsg> decodeFetchReply(std::span<const uint8_t>);
std::optional<StreamAckMsg> decodeStreamAck(std::span<const uint8_t>);

}  // namespace tutti::control
