// The bytes on the wire and the values behind them.
#include "control/wire.hpp"

#include <gmock/gmock.h>

#include <random>

#include "control/address.hpp"
#include "control/crypto.hpp"
#include "control/rendezvous.hpp"

namespace tutti::control {
namespace {

PeerInfo somePeer() {
  PeerInfo peer;
  randomBytes(peer.process);
  randomBytes(peer.unixName);
  peer.pid = 77;
  peer.hostHash = 0x0123456789abcdef;
  peer.hostName = "some-host";
  peer.listener = Address::parse("[fe80::1]:4000").value();
  return peer;
}

bool same(const PeerInfo& a, const PeerInfo& b) {
  return a.process == b.process && a.pid == b.pid && a.hostHash == b.hostHash && a.hostName == b.hostName &&
         a.listener == b.listener && a.unixName == b.unixName;
}

/// Every proper prefix, and the whole with one byte more, must not decode.
template <typename Decode>
void expectExact(const Bytes& bytes, Decode decode) {
  ASSERT_TRUE(decode(std::span<const uint8_t>(bytes)).has_value());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode(std::span<const uint8_t>(bytes).first(length)).has_value()) << length;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(decode(std::span<const uint8_t>(longer)).has_value());
}

TEST(Wire, MessagesComeBackAsTheyWere) {
  const CheckInMsg checkIn{3, 8, 2, 1, 99, 60'000, somePeer(), 5, {}, {}};
  expectExact(encode(checkIn), decodeCheckIn);
  const auto checkInBack = decodeCheckIn(encode(checkIn)).value();
  EXPECT_EQ(checkInBack.rank, 3u);
  EXPECT_EQ(checkInBack.idIndex, 1u);
  EXPECT_EQ(checkInBack.timeoutMs, 60'000u);
  EXPECT_TRUE(same(checkInBack.peer, checkIn.peer));

  expectExact(encode(RelayMsg{2, somePeer()}), decodeRelay);
  expectExact(encode(WelcomeMsg{-1, somePeer()}), decodeWelcome);
  expectExact(encode(ReadyMsg{5, 12345, true, somePeer()}), decodeReady);
  expectExact(encode(JoinFailMsg{kEveryRank, 6, "why"}), decodeJoinFail);
  expectExact(encode(JoinDoneMsg{4}), decodeJoinDone);
  expectExact(encode(LinkMsg{77, 1, 2, somePeer()}), decodeLink);
  expectExact(encode(FaultMsg{FaultKind::Dead, 3, "rank 3 died"}), decodeFault);
  expectExact(encode(LeftMsg{3, 17}), decodeLeft);
  expectExact(encode(StreamMsg{1, 2, 3, 4}), decodeStream);
  expectExact(encode(FetchMsg{1, 2, 3, 4}), decodeFetch);
  expectExact(encode(FetchReplyMsg{"no"}), decodeFetchReply);
  expectExact(encode(StreamAckMsg{""}), decodeStreamAck);
  expectExact(encode(SurveyMsg{1, 2, SurveyOf::Gathers, 3}), decodeSurvey);

  CallRecord call{17, 0xdeadbeef, 1u << 31, 5, 6, -1, 7, 2};
  expectExact(encode(ProbeMsg{1, call}), decodeProbe);
  expectExact(encode(SurveyReplyMsg{1, 2, 3, true, call}), decodeSurveyReply);
  const auto probe = decodeProbe(encode(ProbeMsg{1, call})).value();
  EXPECT_EQ(probe.call.signature, 0xdeadbeef);
  EXPECT_EQ(probe.call.root, -1);
  EXPECT_EQ(probe.call.dtype, 7);

  const Bytes a = {1, 2, 3};
  const Bytes gather = encode(GatherMsg{4, {{0, a}, {1, {}}, {7, a}}});
  expectExact(gather, decodeGather);
  const auto gatherBack = decodeGather(gather).value();
  ASSERT_EQ(gatherBack.entries.size(), 3u);
  EXPECT_EQ(gatherBack.entries[2].rank, 7u);
  EXPECT_EQ(Bytes(gatherBack.entries[2].data.begin(), gatherBack.entries[2].data.end()), a);
}

TEST(Wire, RefusesValuesOutOfRange) {
  EXPECT_FALSE(decodeCheckIn(encode(CheckInMsg{8, 8, 1, 0, 0, 0, somePeer(), 0, {}, {}})).has_value())
      << "rank";
  EXPECT_FALSE(decodeCheckIn(encode(CheckInMsg{0, 0, 1, 0, 0, 0, somePeer(), 0, {}, {}})).has_value())
      << "nRanks";
  EXPECT_FALSE(decodeCheckIn(encode(CheckInMsg{0, 2, 2, 2, 0, 0, somePeer(), 0, {}, {}})).has_value())
      << "idIndex";
  EXPECT_FALSE(decodeFault(encode(FaultMsg{FaultKind::None, 0, ""})).has_value());
  EXPECT_FALSE(decodeFault(encode(FaultMsg{FaultKind::Dead, -2, ""})).has_value());
  EXPECT_FALSE(decodeProbe(encode(ProbeMsg{1, CallRecord{}})).has_value()) << "seq 0";
  EXPECT_FALSE(decodeJoinFail(encode(JoinFailMsg{0, 0, ""})).has_value()) << "success is no failure";
  Bytes gather = encode(GatherMsg{1, {}});
  gather[4] = gather[5] = gather[6] = 0xff;
  EXPECT_FALSE(decodeGather(gather).has_value()) << "a count that lies";
}

TEST(Wire, HeadersAreStrict) {
  const auto good = encodeHeader({5, FrameType::Fault});
  ASSERT_TRUE(decodeHeader(good).has_value());
  EXPECT_EQ(decodeHeader(good)->length, 5u);
  auto bad = good;
  bad[6] = 1;
  EXPECT_FALSE(decodeHeader(bad).has_value());
  EXPECT_FALSE(decodeHeader(encodeHeader({5, static_cast<FrameType>(99)})).has_value());
  EXPECT_FALSE(decodeHeader(encodeHeader({1u << 20, FrameType::Fault})).has_value());
  EXPECT_FALSE(decodeHeader(encodeHeader({0xffffffff, FrameType::Gather})).has_value());
  EXPECT_FALSE(decodeHeader(std::span(good).first(7)).has_value());
}

TEST(Wire, ProofsDependOnEverything) {
  const Secret secret{1};
  const Nonce a{1};
  const Nonce b{2};
  const Mac mac = proofOf("server", secret, 7, a, b);
  EXPECT_TRUE(equalMacs(mac, proofOf("server", secret, 7, a, b)));
  EXPECT_FALSE(equalMacs(mac, proofOf("client", secret, 7, a, b)));
  EXPECT_FALSE(equalMacs(mac, proofOf("server", Secret{2}, 7, a, b)));
  EXPECT_FALSE(equalMacs(mac, proofOf("server", secret, 8, a, b)));
  EXPECT_FALSE(equalMacs(mac, proofOf("server", secret, 7, b, a)));
}

TEST(Wire, HmacIsThatOfTheStandard) {
  // One part is preceded by its length, so the standard's vectors do not apply to hmac() itself; what can be
  // checked is that parts are told apart.
  EXPECT_FALSE(equalMacs(hmac(bytesOf("k"), {bytesOf("ab"), bytesOf("c")}),
                         hmac(bytesOf("k"), {bytesOf("a"), bytesOf("bc")})));
}

TEST(Wire, RandomBytesNeverCrashADecoder) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random() % 200);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    (void)decodeCheckIn(bytes);
    (void)decodeGather(bytes);
    (void)decodeSurveyReply(bytes);
    (void)decodeFault(bytes);
    (void)decodeReady(bytes);
    (void)decodeHello(bytes);
    (void)decodeHeader(bytes);
  }
}

TEST(Wire, MaskedSecretsComeBack) {
  const Secret secret{1, 2, 3};
  const Secret key{9};
  EXPECT_NE(maskSecret(secret, key, 5), secret);
  EXPECT_NE(maskSecret(secret, key, 5), maskSecret(secret, key, 6));
  EXPECT_EQ(maskSecret(maskSecret(secret, key, 5), key, 5), secret);
}

TEST(UniqueId, CarriesItsFields) {
  UniqueIdFields fields;
  fields.id = 42;
  randomBytes(fields.secret);
  fields.address = Address::parse("10.1.2.3:4567").value();
  fields.rankZeroRoots = true;
  const UniqueIdFields back = UniqueId::encode(fields).decode().value();
  EXPECT_EQ(back.id, 42u);
  EXPECT_EQ(back.secret, fields.secret);
  EXPECT_EQ(back.address, fields.address);
  EXPECT_TRUE(back.rankZeroRoots);
  for (const size_t at : {0u, 7u, 20u, 60u, 127u}) {
    UniqueId broken = UniqueId::encode(fields);
    broken.bytes[at] ^= 0x10;
    EXPECT_FALSE(broken.decode().ok()) << at;
  }
}

TEST(Address, ParsesAndPrints) {
  EXPECT_EQ(Address::parse("1.2.3.4:80").value().text(), "1.2.3.4:80");
  EXPECT_EQ(Address::parse("[::1]:80").value().text(), "[::1]:80");
  EXPECT_TRUE(Address::parse("[::1]:80").value().isLoopback());
  EXPECT_TRUE(Address::parse("127.3.4.5:80").value().isLoopback());
  EXPECT_FALSE(Address::parse("128.3.4.5:80").value().isLoopback());
  EXPECT_TRUE(Address::parse("localhost:1234").ok());
  for (const char* bad :
       {"", ":1", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:70000", "1.2.3.4:8x", "::1:80"}) {
    EXPECT_FALSE(Address::parse(bad).ok()) << bad;
  }
}

TEST(Interfaces, ListsAreNccls) {
  EXPECT_TRUE(matchesInterfaceList("eth0", "eth"));
  EXPECT_TRUE(matchesInterfaceList("ib0", "eth,ib"));
  EXPECT_FALSE(matchesInterfaceList("lo", "eth,ib"));
  EXPECT_FALSE(matchesInterfaceList("eth1", "=eth0"));
  EXPECT_FALSE(matchesInterfaceList("eth01", "=eth0"));
  EXPECT_TRUE(matchesInterfaceList("eth0", "=eth1,eth0"));
  EXPECT_FALSE(matchesInterfaceList("docker0", "^docker,lo"));
  EXPECT_TRUE(matchesInterfaceList("eth0", "^docker,lo"));
  EXPECT_TRUE(matchesInterfaceList("lo0", "^=lo"));
  EXPECT_FALSE(matchesInterfaceList("lo", "^=lo"));
}

TEST(Interfaces, RealOnesComeBeforeLoopback) {
  const std::vector<Interface> all = {{"lo", Address::parse("127.0.0.1:1").value()},
                                      {"docker0", Address::parse("172.17.0.1:1").value()},
                                      {"eth0", Address::parse("[fe80::2]:1").value()},
                                      {"eth0", Address::parse("10.0.0.2:1").value()},
                                      {"ib0", Address::parse("10.9.0.2:1").value()}};
  const auto names = [](const std::vector<Interface>& list) {
    std::string text;
    for (const Interface& each : list) text += each.name + (each.address.family == 6 ? "/6 " : " ");
    return text;
  };
  EXPECT_EQ(names(chooseInterfaces(all, "", 0)), "ib0 eth0 eth0/6 docker0 lo ");
  EXPECT_EQ(names(chooseInterfaces(all, "lo", 0)), "lo ");
  EXPECT_EQ(names(chooseInterfaces(all, "^ib", 4)), "eth0 docker0 lo ");
  EXPECT_EQ(names(chooseInterfaces(all, "", 6)), "eth0/6 ");
  EXPECT_EQ(names(chooseInterfaces(all, "nosuch", 0)), "");
}

TEST(Text, RanksAndTimes) {
  EXPECT_EQ(formatRanks({3, 5, 6, 7}), "3, 5-7");
  EXPECT_EQ(formatRanks({0}), "0");
  EXPECT_EQ(formatRanks({}), "");
  EXPECT_EQ(formatMs(60'000), "60 s");
  EXPECT_EQ(formatMs(250), "250 ms");
  EXPECT_EQ(formatMs(1500), "1.5 s");
}

}  // namespace
}  // namespace tutti::control
