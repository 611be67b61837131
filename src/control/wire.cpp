#include "control/wire.hpp"

#include <algorithm>
#include <cstring>

namespace tutti::control {
namespace {

constexpr uint8_t kHelloMagic[8] = {'T', 'U', 'T', 'T', 'I', '-', 'C', '1'};
constexpr size_t kMaxGatherBytes = 256u << 20;
constexpr size_t kMaxSmallBytes = 4096;
constexpr size_t kMaxHostName = 64;

/// The message, if the reader took all bytes and none was missing.
template <typename T>
std::optional<T> finished(const Reader& reader, T&& message) {
  if (!reader.done()) return std::nullopt;
  return std::forward<T>(message);
}

}  // namespace

void Writer::text(std::string_view text, size_t maxBytes) {
  text = text.substr(0, maxBytes);
  u16(static_cast<uint16_t>(text.size()));
  raw(bytesOf(text));
}

void Writer::blob(std::span<const uint8_t> data) {
  u32(static_cast<uint32_t>(data.size()));
  raw(data);
}

void Writer::address(const Address& address) {
  u8(address.family);
  u16(address.port);
  u32(address.scope);
  raw(address.ip);
}

void Writer::peer(const PeerInfo& peer) {
  raw(peer.process);
  u32(peer.pid);
  u64(peer.hostHash);
  text(peer.hostName, kMaxHostName);
  address(peer.listener);
  raw(peer.unixName);
}

void Writer::call(const CallRecord& call) {
  u64(call.seq);
  u64(call.signature);
  u64(call.count);
  u32(call.kind);
  u32(call.flags);
  i32(call.root);
  u8(call.dtype);
  u8(call.op);
}

uint64_t Reader::get(size_t count) {
  if (!ok_ || rest_.size() < count) {
    ok_ = false;
    return 0;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint64_t{rest_[i]} << (8 * i);
  rest_ = rest_.subspan(count);
  return value;
}

void Reader::raw(std::span<uint8_t> out) {
  if (!ok_ || rest_.size() < out.size()) {
    ok_ = false;
    std::fill(out.begin(), out.end(), uint8_t{0});
    return;
  }
  std::copy_n(rest_.begin(), out.size(), out.begin());
  rest_ = rest_.subspan(out.size());
}

std::string Reader::text(size_t maxBytes) {
  const size_t length = u16();
  if (!ok_ || length > maxBytes || length > rest_.size()) {
    ok_ = false;
    return {};
  }
  std::string result(reinterpret_cast<const char*>(rest_.data()), length);
  rest_ = rest_.subspan(length);
  return result;
}

std::span<const uint8_t> Reader::blob(size_t maxBytes) {
  const size_t length = u32();
  if (!ok_ || length > maxBytes || length > rest_.size()) {
    ok_ = false;
    return {};
  }
  const auto result = rest_.first(length);
  rest_ = rest_.subspan(length);
  return result;
}

Address Reader::address() {
  Address address;
  address.family = u8();
  address.port = u16();
  address.scope = u32();
  raw(address.ip);
  if (address.family != 0 && !address.valid()) ok_ = false;
  return address;
}

PeerInfo Reader::peer() {
  PeerInfo peer;
  raw(peer.process);
  peer.pid = u32();
  peer.hostHash = u64();
  peer.hostName = text(kMaxHostName);
  peer.listener = address();
  raw(peer.unixName);
  return peer;
}

CallRecord Reader::call() {
  CallRecord call;
  call.seq = u64();
  call.signature = u64();
  call.count = u64();
  call.kind = u32();
  call.flags = u32();
  call.root = i32();
  call.dtype = u8();
  call.op = u8();
  return call;
}

Bytes encodeHello(const Hello& hello) {
  Writer writer;
  writer.raw(kHelloMagic);
  writer.u64(hello.keyId);
  writer.raw(hello.nonce);
  return writer.take();
}

std::optional<Hello> decodeHello(std::span<const uint8_t> bytes) {
  if (bytes.size() != kHelloBytes ||
      !std::equal(std::begin(kHelloMagic), std::end(kHelloMagic), bytes.begin())) {
    return std::nullopt;
  }
  Reader reader(bytes.subspan(sizeof(kHelloMagic)));
  Hello hello;
  hello.keyId = reader.u64();
  reader.raw(hello.nonce);
  return finished(reader, std::move(hello));
}

Bytes encodeChallenge(const Challenge& challenge) {
  Writer writer;
  writer.raw(challenge.nonce);
  writer.raw(challenge.mac);
  return writer.take();
}

std::optional<Challenge> decodeChallenge(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  Challenge challenge;
  reader.raw(challenge.nonce);
  reader.raw(challenge.mac);
  return finished(reader, std::move(challenge));
}

Mac proofOf(std::string_view side, const Secret& secret, uint64_t keyId, const Nonce& client,
            const Nonce& server) {
  Writer id;
  id.u64(keyId);
  const Bytes idBytes = id.take();
  return hmac(secret, {bytesOf(side), idBytes, client, server});
}

std::array<uint8_t, kFrameHeaderBytes> encodeHeader(FrameHeader header) {
  std::array<uint8_t, kFrameHeaderBytes> out{};
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(header.length >> (8 * i));
  out[4] = static_cast<uint8_t>(header.type);
  return out;
}

size_t maxPayload(FrameType type) {
  switch (type) {
    case FrameType::Gather:
    case FrameType::GatherResult:
      return kMaxGatherBytes;
    case FrameType::CheckIn:
    case FrameType::Relay:
    case FrameType::Welcome:
    case FrameType::Ready:
    case FrameType::JoinFail:
    case FrameType::JoinDone:
    case FrameType::Link:
    case FrameType::Fault:
    case FrameType::Left:
    case FrameType::Probe:
    case FrameType::Survey:
    case FrameType::SurveyReply:
    case FrameType::Stream:
    case FrameType::StreamAck:
    case FrameType::Fetch:
    case FrameType::FetchReply:
      return kMaxSmallBytes;
  }
  return 0;
}

std::optional<FrameHeader> decodeHeader(std::span<const uint8_t> bytes) {
  if (bytes.size() != kFrameHeaderBytes || bytes[5] || bytes[6] || bytes[7]) return std::nullopt;
  Reader reader(bytes);
  FrameHeader header;
  header.length = reader.u32();
  header.type = static_cast<FrameType>(reader.u8());
  const size_t limit = maxPayload(header.type);
  if (limit == 0 || header.length > limit) return std::nullopt;
  return header;
}

Secret maskSecret(const Secret& secret, const Secret& key, uint64_t nonce) {
  Writer writer;
  writer.u64(nonce);
  const Bytes nonceBytes = writer.take();
  const Mac pad = hmac(key, {bytesOf("mask"), nonceBytes});
  Secret masked;
  for (size_t i = 0; i < masked.size(); ++i) masked[i] = secret[i] ^ pad[i];
  return masked;
}

Bytes encode(const CheckInMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  writer.u32(message.nRanks);
  writer.u32(message.nIds);
  writer.u32(message.idIndex);
  writer.u64(message.joinNonce);
  writer.u32(message.timeoutMs);
  writer.peer(message.peer);
  writer.u64(message.firstId);
  writer.address(message.firstAddress);
  writer.raw(message.firstSecret);
  return writer.take();
}

std::optional<CheckInMsg> decodeCheckIn(std::span<const uint8_t> payload) {
  Reader reader(payload);
  CheckInMsg message;
  message.rank = reader.u32();
  message.nRanks = reader.u32();
  message.nIds = reader.u32();
  message.idIndex = reader.u32();
  message.joinNonce = reader.u64();
  message.timeoutMs = reader.u32();
  message.peer = reader.peer();
  message.firstId = reader.u64();
  message.firstAddress = reader.address();
  reader.raw(message.firstSecret);
  if (message.nRanks == 0 || message.nRanks > kMaxRanks || message.rank >= message.nRanks ||
      message.nIds == 0 || message.nIds > message.nRanks || message.idIndex >= message.nIds) {
    return std::nullopt;
  }
  return finished(reader, std::move(message));
}

Bytes encode(const RelayMsg& message) {
  Writer writer;
  writer.u32(message.index);
  writer.peer(message.peer);
  return writer.take();
}

std::optional<RelayMsg> decodeRelay(std::span<const uint8_t> payload) {
  Reader reader(payload);
  RelayMsg message;
  message.index = reader.u32();
  message.peer = reader.peer();
  return finished(reader, std::move(message));
}

Bytes encode(const WelcomeMsg& message) {
  Writer writer;
  writer.i32(message.rank);
  writer.peer(message.root);
  return writer.take();
}

std::optional<WelcomeMsg> decodeWelcome(std::span<const uint8_t> payload) {
  Reader reader(payload);
  WelcomeMsg message;
  message.rank = reader.i32();
  message.root = reader.peer();
  return finished(reader, std::move(message));
}

Bytes encode(const ReadyMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  writer.u64(message.commId);
  writer.u8(message.hasParent);
  writer.peer(message.parent);
  return writer.take();
}

std::optional<ReadyMsg> decodeReady(std::span<const uint8_t> payload) {
  Reader reader(payload);
  ReadyMsg message;
  message.rank = reader.u32();
  message.commId = reader.u64();
  message.hasParent = reader.u8() != 0;
  message.parent = reader.peer();
  return finished(reader, std::move(message));
}

Bytes encode(const JoinFailMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  writer.i32(message.code);
  writer.text(message.text, kMaxText);
  return writer.take();
}

std::optional<JoinFailMsg> decodeJoinFail(std::span<const uint8_t> payload) {
  Reader reader(payload);
  JoinFailMsg message;
  message.rank = reader.u32();
  message.code = reader.i32();
  message.text = reader.text(kMaxText);
  if (message.code <= 0 || message.code > static_cast<int>(Code::Timeout)) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const JoinDoneMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  return writer.take();
}

std::optional<JoinDoneMsg> decodeJoinDone(std::span<const uint8_t> payload) {
  Reader reader(payload);
  JoinDoneMsg message;
  message.rank = reader.u32();
  return finished(reader, std::move(message));
}

Bytes encode(const LinkMsg& message) {
  Writer writer;
  writer.u64(message.commId);
  writer.u32(message.from);
  writer.u32(message.to);
  writer.peer(message.peer);
  return writer.take();
}

std::optional<LinkMsg> decodeLink(std::span<const uint8_t> payload) {
  Reader reader(payload);
  LinkMsg message;
  message.commId = reader.u64();
  message.from = reader.u32();
  message.to = reader.u32();
  message.peer = reader.peer();
  if (message.from >= kMaxRanks || message.to >= kMaxRanks) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const GatherMsg& message) {
  Writer writer;
  writer.u32(message.seq);
  writer.u32(static_cast<uint32_t>(message.entries.size()));
  for (const GatherEntry& entry : message.entries) {
    writer.u32(entry.rank);
    writer.blob(entry.data);
  }
  return writer.take();
}

std::optional<GatherMsg> decodeGather(std::span<const uint8_t> payload) {
  Reader reader(payload);
  GatherMsg message;
  message.seq = reader.u32();
  const size_t count = reader.u32();
  // Each entry takes at least 8 bytes: a count that lies allocates nothing.
  if (count > kMaxRanks || count * 8 > reader.left()) return std::nullopt;
  message.entries.reserve(count);
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    GatherEntry entry;
    entry.rank = reader.u32();
    entry.data = reader.blob(kMaxGatherBytes);
    if (entry.rank >= kMaxRanks) reader.fail();
    message.entries.push_back(entry);
  }
  return finished(reader, std::move(message));
}

Bytes encode(const FaultMsg& message) {
  Writer writer;
  writer.u8(static_cast<uint8_t>(message.kind));
  writer.i32(message.rank);
  writer.text(message.text, kMaxText);
  return writer.take();
}

std::optional<FaultMsg> decodeFault(std::span<const uint8_t> payload) {
  Reader reader(payload);
  FaultMsg message;
  const uint8_t kind = reader.u8();
  message.kind = static_cast<FaultKind>(kind);
  message.rank = reader.i32();
  message.text = reader.text(kMaxText);
  if (kind == 0 || kind > static_cast<uint8_t>(FaultKind::LocalError) || message.rank < -1 ||
      message.rank >= kMaxRanks) {
    return std::nullopt;
  }
  return finished(reader, std::move(message));
}

Bytes encode(const LeftMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  writer.u64(message.lastCall);
  return writer.take();
}

std::optional<LeftMsg> decodeLeft(std::span<const uint8_t> payload) {
  Reader reader(payload);
  LeftMsg message;
  message.rank = reader.u32();
  message.lastCall = reader.u64();
  if (message.rank >= kMaxRanks) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const ProbeMsg& message) {
  Writer writer;
  writer.u32(message.rank);
  writer.call(message.call);
  return writer.take();
}

std::optional<ProbeMsg> decodeProbe(std::span<const uint8_t> payload) {
  Reader reader(payload);
  ProbeMsg message;
  message.rank = reader.u32();
  message.call = reader.call();
  if (message.rank >= kMaxRanks || message.call.seq == 0) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const SurveyMsg& message) {
  Writer writer;
  writer.u32(message.origin);
  writer.u64(message.id);
  writer.u8(static_cast<uint8_t>(message.of));
  writer.u64(message.seq);
  return writer.take();
}

std::optional<SurveyMsg> decodeSurvey(std::span<const uint8_t> payload) {
  Reader reader(payload);
  SurveyMsg message;
  message.origin = reader.u32();
  message.id = reader.u64();
  const uint8_t of = reader.u8();
  message.of = static_cast<SurveyOf>(of);
  message.seq = reader.u64();
  if (message.origin >= kMaxRanks || of > 1) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const SurveyReplyMsg& message) {
  Writer writer;
  writer.u32(message.origin);
  writer.u64(message.id);
  writer.u32(message.rank);
  writer.u8(message.behind);
  writer.call(message.last);
  return writer.take();
}

std::optional<SurveyReplyMsg> decodeSurveyReply(std::span<const uint8_t> payload) {
  Reader reader(payload);
  SurveyReplyMsg message;
  message.origin = reader.u32();
  message.id = reader.u64();
  message.rank = reader.u32();
  message.behind = reader.u8() != 0;
  message.last = reader.call();
  if (message.origin >= kMaxRanks || message.rank >= kMaxRanks) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const StreamMsg& message) {
  Writer writer;
  writer.u64(message.commId);
  writer.u32(message.from);
  writer.u32(message.to);
  writer.u32(message.tag);
  return writer.take();
}

std::optional<StreamMsg> decodeStream(std::span<const uint8_t> payload) {
  Reader reader(payload);
  StreamMsg message;
  message.commId = reader.u64();
  message.from = reader.u32();
  message.to = reader.u32();
  message.tag = reader.u32();
  if (message.from >= kMaxRanks || message.to >= kMaxRanks) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const FetchMsg& message) {
  Writer writer;
  writer.u64(message.commId);
  writer.u32(message.from);
  writer.u32(message.owner);
  writer.u32(message.name);
  return writer.take();
}

std::optional<FetchMsg> decodeFetch(std::span<const uint8_t> payload) {
  Reader reader(payload);
  FetchMsg message;
  message.commId = reader.u64();
  message.from = reader.u32();
  message.owner = reader.u32();
  message.name = reader.u32();
  if (message.from >= kMaxRanks || message.owner >= kMaxRanks) return std::nullopt;
  return finished(reader, std::move(message));
}

Bytes encode(const FetchReplyMsg& message) {
  Writer writer;
  writer.text(message.error, kMaxText);
  return writer.take();
}

std::optional<FetchReplyMsg> decodeFetchReply(std::span<const uint8_t> payload) {
  Reader reader(payload);
  FetchReplyMsg message;
  message.error = reader.text(kMaxText);
  return finished(reader, std::move(message));
}

Bytes encode(const StreamAckMsg& message) {
  Writer writer;
  writer.text(message.error, kMaxText);
  return writer.take();
}

std::optional<StreamAckMsg> decodeStreamAck(std::span<const uint8_t> payload) {
  Reader reader(payload);
  StreamAckMsg message;
  message.error = reader.text(kMaxText);
  return finished(reader, std::move(message));
}

}  // namespace tutti::control
