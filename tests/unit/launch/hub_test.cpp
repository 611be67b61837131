// The hub against strangers and against members that misbehave, with the sockets in this process and its
// work() called by hand.
#include "launch/hub.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>

namespace tutti::launch {
namespace {

class HubTest : public testing::Test {
 protected:
  void start(int size) {
    name_ = "tutti-hub-test-" + toHex(randomBlock());
    auto listener = listenUnix(name_);
    ASSERT_TRUE(listener.ok()) << listener.error().message();
    auto hub = Hub::create(std::move(listener).value(), key_, size);
    ASSERT_TRUE(hub.ok());
    hub_ = std::move(hub).value();
    size_ = size;
  }

  void work() {
    for (int i = 0; i < 5; ++i) hub_->work();
  }

  UniqueFd connect() {
    Place place;
    place.unixName = name_;
    auto fd = connectOnce(place, Deadline::afterMs(1000));
    EXPECT_TRUE(fd.ok());
    work();
    return std::move(fd).value();
  }

  /// The next frame's body; type 0 where the hub has closed, or said nothing.
  std::pair<int, std::string> read(const UniqueFd& fd) {
    work();
    char head[5];
    if (recv(fd.get(), head, 5, MSG_DONTWAIT) != 5) return {0, ""};
    uint32_t length;
    std::memcpy(&length, head, 4);
    std::string body(length - 1, '\0');
    if (!receiveAll(fd.get(), body.data(), body.size(), Deadline::afterMs(1000)).ok()) return {0, ""};
    return {head[4], body};
  }

  void write(const UniqueFd& fd, std::string_view bytes) {
    ASSERT_TRUE(sendAll(fd.get(), bytes, Deadline::afterMs(1000)).ok());
    work();
  }

  bool closed(const UniqueFd& fd) {
    work();
    char byte;
    ssize_t got = recv(fd.get(), &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

  std::string helloFor(const UniqueFd& fd, uint32_t rank, uint32_t size, const Block128& key,
                       uint32_t timeoutMs = 60'000) {
    auto [type, body] = read(fd);
    EXPECT_EQ(type, static_cast<int>(Frame::Challenge));
    Reader reader(body);
    reader.u32();
    reader.u32();
    Block128 nonce = reader.block();
    Hello hello{rank, size, 0, timeoutMs, randomBlock(), {}};
    hello.code = helloCode(key, nonce, hello);
    Writer frame(Frame::Hello);
    frame.u32(kWireMagic)
        .u32(kWireVersion)
        .u32(rank)
        .u32(size)
        .u32(0)
        .u32(timeoutMs)
        .block(hello.nonce)
        .block(hello.code);
    return frame.take();
  }

  UniqueFd join(uint32_t rank) {
    UniqueFd fd = connect();
    write(fd, helloFor(fd, rank, static_cast<uint32_t>(size_), key_));
    return fd;
  }

  static std::string callFrame(int operation, uint32_t root, std::string_view data) {
    Writer frame(Frame::Call);
    frame.u8(static_cast<uint8_t>(operation)).u32(root).text(data);
    return frame.take();
  }

  /// The text of a Failure frame.
  std::string failure(const UniqueFd& fd) {
    auto [type, body] = read(fd);
    return type == static_cast<int>(Frame::Failure) ? body.substr(4) : fmt::format("frame {}", type);
  }

  Block128 key_ = keyFrom("the job");
  std::string name_;
  int size_ = 0;
  std::unique_ptr<Hub> hub_;
};

constexpr int kWelcome = static_cast<int>(Frame::Welcome);
constexpr int kAnswer = static_cast<int>(Frame::Answer);

TEST_F(HubTest, GathersAndAnswers) {
  start(2);
  UniqueFd a = join(0);
  EXPECT_EQ(read(a).first, 0) << "welcome before all had come";
  UniqueFd b = join(1);
  EXPECT_EQ(read(a).first, kWelcome);
  EXPECT_EQ(read(b).first, kWelcome);
  write(a, callFrame(2, 1, ""));
  EXPECT_EQ(read(a).first, 0);
  write(b, callFrame(2, 1, "id"));
  EXPECT_EQ(read(a), std::make_pair(kAnswer, std::string("id")));
  EXPECT_EQ(read(b), std::make_pair(kAnswer, std::string("id")));
}

TEST_F(HubTest, StrangersAreDroppedAndHarmNobody) {
  start(2);
  UniqueFd member = join(0);
  UniqueFd silent = connect();
  UniqueFd garbage = connect();
  read(garbage);
  write(garbage, "GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n");
  EXPECT_TRUE(closed(garbage));
  UniqueFd huge = connect();
  read(huge);
  write(huge, std::string("\xff\xff\xff\x7f\x02", 5));
  EXPECT_TRUE(closed(huge));
  UniqueFd zero = connect();
  read(zero);
  write(zero, std::string(64, '\0'));
  EXPECT_TRUE(closed(zero));
  UniqueFd half = connect();
  std::string hello = helloFor(half, 1, 2, key_);
  write(half, std::string_view(hello).substr(0, 20));
  EXPECT_FALSE(closed(half)) << "a slow one may still go on";
  UniqueFd guess = connect();
  write(guess, helloFor(guess, 1, 2, keyFrom("another job")));
  EXPECT_TRUE(closed(guess));
  UniqueFd call = connect();
  read(call);
  write(call, callFrame(1, 0, ""));
  EXPECT_TRUE(closed(call));

  UniqueFd last = join(1);
  EXPECT_EQ(read(member).first, kWelcome);
  EXPECT_EQ(read(last).first, kWelcome);
}

TEST_F(HubTest, ReplayedHelloIsRefused) {
  start(2);
  UniqueFd first = connect();
  std::string hello = helloFor(first, 0, 2, key_);
  UniqueFd second = connect();
  read(second);
  write(second, hello);  // proven for another connection's challenge
  EXPECT_TRUE(closed(second));
}

TEST_F(HubTest, ManySilentConnectionsAreBounded) {
  start(2);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(connect());
  int open = 0;
  for (const UniqueFd& fd : silent) {
    read(fd);
    if (!closed(fd)) ++open;
  }
  EXPECT_LE(open, 2 * 2 + 64 + 1);
  UniqueFd a = join(0), b = join(1);
  EXPECT_EQ(read(a).first, kWelcome);
  EXPECT_EQ(read(b).first, kWelcome);
}

TEST_F(HubTest, MemberThatSendsNonsenseIsNamed) {
  start(2);
  UniqueFd a = join(0), b = join(1);
  read(a);
  read(b);
  write(a, callFrame(1, 0, ""));
  write(b, callFrame(9, 0, ""));
  EXPECT_TRUE(closed(b));
  EXPECT_THAT(failure(a), testing::HasSubstr("rank 1 has left"));
}

TEST_F(HubTest, DeadlineNamesTheMissing) {
  start(4);
  UniqueFd a = connect();
  write(a, helloFor(a, 2, 4, key_, 1));
  for (int i = 0; i < 100 && hub_->pollMs() > 0; ++i) {
    timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
    hub_->work();
  }
  EXPECT_THAT(failure(a), testing::HasSubstr("for ranks 0-1, 3 of 4"));
}

TEST_F(HubTest, EndedRankFailsThoseWhoWait) {
  start(3);
  UniqueFd a = join(0);
  hub_->rankEnded(1, "ended with exit status 5");
  EXPECT_THAT(failure(a), testing::HasSubstr("the process of rank 1 has ended (ended with exit status 5)"));
  UniqueFd c = join(2);
  EXPECT_THAT(failure(c), testing::HasSubstr("rank 1"));
}

TEST_F(HubTest, LeavingAfterTheLastCallHarmsNobody) {
  start(2);
  UniqueFd a = join(0), b = join(1);
  read(a);
  read(b);
  write(a, callFrame(1, 0, ""));
  write(b, callFrame(1, 0, ""));
  EXPECT_EQ(read(b).first, kAnswer);
  b.reset();
  hub_->rankEnded(1, "ended with exit status 0");
  EXPECT_EQ(read(a).first, kAnswer);
  write(a, callFrame(1, 0, ""));
  EXPECT_THAT(failure(a), testing::HasSubstr("rank 1 has left; barrier cannot complete"));
}

TEST(RankList, ShortensRuns) {
  EXPECT_EQ(rankList({3}), "rank 3");
  EXPECT_EQ(rankList({0, 2, 3, 4, 9}), "ranks 0, 2-4, 9");
  std::vector<int> even;
  for (int i = 0; i < 40; i += 2) even.push_back(i);
  EXPECT_EQ(rankList(even), "ranks 0, 2, 4, 6, 8, 10, 12, 14 and 12 more");
}

TEST(Place, FromText) {
  auto place = placeFromText("host:80");
  ASSERT_TRUE(place.ok());
  EXPECT_EQ(place->hosts[0], "host");
  EXPECT_EQ(place->port, 80);
  place = placeFromText("[fe80::1%eth0]:65535");
  ASSERT_TRUE(place.ok());
  EXPECT_EQ(place->hosts[0], "fe80::1%eth0");
  for (const char* wrong :
       {"", "host", "host:", ":80", "host:0", "host:65536", "host:8x", "fe80::1:80", "host:-1"}) {
    EXPECT_FALSE(placeFromText(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace tutti::launch
