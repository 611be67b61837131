// Connections from those who do not belong: dropped, and without effect on those who do.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>

#include "control/crypto.hpp"
#include "control/wire.hpp"
#include "harness.hpp"

namespace tutti::control::testing {
namespace {

Address listenerOf(const UniqueId& id) {
  return id.decode().value().address;
}

UniqueFd connectTo(const Address& address) {
  sockaddr_storage native;
  const socklen_t length = address.toSockaddr(native);
  UniqueFd fd(socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&native), length), 0);
  return fd;
}

void sendAll(const UniqueFd& fd, std::span<const uint8_t> bytes) {
  (void)!send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

/// What comes until the other side closes; nothing if it has not within `ms`.
std::optional<Bytes> readToEnd(const UniqueFd& fd, int ms) {
  Bytes all;
  const Deadline deadline = Deadline::afterMs(ms);
  while (!deadline.expired()) {
    pollfd entry{fd.get(), POLLIN, 0};
    if (poll(&entry, 1, deadline.remainingMs(1000)) <= 0) continue;
    uint8_t chunk[4096];
    const ssize_t got = read(fd.get(), chunk, sizeof(chunk));
    if (got <= 0) return all;
    all.insert(all.end(), chunk, chunk + got);
  }
  return std::nullopt;
}

Bytes readExactly(const UniqueFd& fd, size_t size) {
  Bytes all(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t got = read(fd.get(), all.data() + have, size - have);
    if (got <= 0) return {};
    have += static_cast<size_t>(got);
  }
  return all;
}

size_t residentKb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoul(line.substr(6));
  }
  return 0;
}

TEST(Stranger, GarbageIsDroppedAtOnce) {
  const UniqueId id = createUniqueId().value();
  for (const size_t size : {size_t{32}, size_t{33}, size_t{100'000}}) {
    UniqueFd fd = connectTo(listenerOf(id));
    sendAll(fd, Bytes(size, 0xff));
    const auto answer = readToEnd(fd, 4000);
    ASSERT_TRUE(answer.has_value()) << size;
    EXPECT_TRUE(answer->empty());
  }
}

TEST(Stranger, SilenceAndHalfAHelloAreDroppedInTime) {
  const UniqueId id = createUniqueId().value();
  UniqueFd silent = connectTo(listenerOf(id));
  UniqueFd half = connectTo(listenerOf(id));
  const Bytes hello = encodeHello({1, {}});
  sendAll(half, std::span(hello).first(20));
  // Meanwhile others come together.
  Planes planes = makePlanes(4);
  EXPECT_TRUE(readToEnd(silent, 12'000).has_value());
  EXPECT_TRUE(readToEnd(half, 12'000).has_value());
  EXPECT_EQ(planes[0]->faultWord().load(), 0u);
}

TEST(Stranger, UnknownKeyIsDropped) {
  const UniqueId id = createUniqueId().value();
  UniqueFd fd = connectTo(listenerOf(id));
  sendAll(fd, encodeHello({id.decode().value().id ^ 1, {}}));
  const auto answer = readToEnd(fd, 4000);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->empty());
}

TEST(Stranger, KnowingTheNameIsNotEnough) {
  const UniqueId id = createUniqueId().value();
  const UniqueIdFields fields = id.decode().value();
  for (const bool mirror : {false, true}) {
    UniqueFd fd = connectTo(fields.address);
    const Hello hello{fields.id, {1, 2, 3}};
    sendAll(fd, encodeHello(hello));
    const auto challenge = decodeChallenge(readExactly(fd, kChallengeBytes));
    ASSERT_TRUE(challenge.has_value());
    // The server has proven itself, over our nonce.
    EXPECT_TRUE(equalMacs(challenge->mac,
                          proofOf("server", fields.secret, fields.id, hello.nonce, challenge->nonce)));
    Mac mac{};
    if (mirror) mac = challenge->mac;
    sendAll(fd, mac);
    const auto answer = readToEnd(fd, 4000);
    ASSERT_TRUE(answer.has_value());
    EXPECT_TRUE(answer->empty());
  }
}

TEST(Stranger, HugeLengthAfterTheProofIsRefused) {
  const UniqueId id = createUniqueId().value();
  const UniqueIdFields fields = id.decode().value();
  const size_t before = residentKb();
  for (const uint8_t type : {uint8_t{1}, uint8_t{17}, uint8_t{200}}) {
    UniqueFd fd = connectTo(fields.address);
    const Hello hello{fields.id, {4, 5}};
    sendAll(fd, encodeHello(hello));
    const auto challenge = decodeChallenge(readExactly(fd, kChallengeBytes));
    ASSERT_TRUE(challenge.has_value());
    sendAll(fd, proofOf("client", fields.secret, fields.id, hello.nonce, challenge->nonce));
    const Bytes header = {0xff, 0xff, 0xff, 0x7f, type, 0, 0, 0};
    sendAll(fd, header);
    EXPECT_TRUE(readToEnd(fd, 4000).has_value());
  }
  EXPECT_LT(residentKb(), before + 64 * 1024);
}

TEST(Stranger, ManyDoNotKeepTheOthersOut) {
  const UniqueId id = createUniqueId().value();
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 3000; ++i) strangers.push_back(connectTo(listenerOf(id)));
  const UniqueFd real = connectTo(listenerOf(id));
  const UniqueIdFields fields = id.decode().value();
  sendAll(real, encodeHello({fields.id, {}}));
  EXPECT_TRUE(decodeChallenge(readExactly(real, kChallengeBytes)).has_value());
  Planes planes = makePlanes(3);
  onThreads(3,
            [&](int rank) { EXPECT_TRUE(planes[static_cast<size_t>(rank)]->barrier(within(10'000)).ok()); });
}

TEST(Stranger, AtTheDescriptorServer) {
  Planes planes = makePlanes(2);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& name = planes[0]->peer(0).unixName;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                    static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  sendAll(fd, Bytes(64, 7));
  EXPECT_TRUE(readToEnd(fd, 4000).has_value());
  planes[0]->offerFd(1, UniqueFd(dup(0)));
  EXPECT_TRUE(planes[1]->fetchFd(0, 1, within(5000)).ok());
}

// One communicator's members are strangers to another.
TEST(Stranger, TheSecretOfOneCommunicatorDoesNotOpenAnother) {
  const UniqueId mine = createUniqueId().value();
  Planes planes = makePlanes(2);
  const UniqueIdFields fields = mine.decode().value();
  UniqueFd fd = connectTo(fields.address);
  const Hello hello{fields.id, {}};
  sendAll(fd, encodeHello(hello));
  const auto challenge = decodeChallenge(readExactly(fd, kChallengeBytes));
  ASSERT_TRUE(challenge.has_value());
  sendAll(fd, proofOf("client", fields.secret, fields.id, hello.nonce, challenge->nonce));
  const Bytes payload = encode(StreamMsg{planes[0]->commHash(), 1, 0, 3});
  sendAll(fd, encodeHeader({static_cast<uint32_t>(payload.size()), FrameType::Stream}));
  sendAll(fd, payload);
  EXPECT_TRUE(readToEnd(fd, 4000).has_value());
  EXPECT_EQ(planes[0]->acceptStream(1, 3, within(50)).error().code(), Code::Timeout);
}

}  // namespace
}  // namespace tutti::control::testing
