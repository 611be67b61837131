#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/log.hpp"
#include "core/param.hpp"
#include "launch/hub.hpp"
#include "launch/launch.hpp"
#include "launch/rendezvous.hpp"
#include "launch/wire.hpp"

namespace tutti::launch {
namespace {

/// The hub knows which ranks are missing, so it is given a little longer than our own deadline to say so.
constexpr int kHubGraceMs = 2000;
constexpr uint32_t kMaxAnswerBytes = 1u << 30;
constexpr int kDayMs = 86'400'000;

/// Serves a hub from a thread until destroyed; then lets the last answers out.
class HubThread {
 public:
  static Result<std::unique_ptr<HubThread>> start(UniqueFd listener, const Block128& key, int size) {
    TUTTI_ASSIGN(auto hub, Hub::create(std::move(listener), key, size));
    UniqueFd wake(eventfd(0, EFD_CLOEXEC));
    if (!wake) return makeSystemError(errno, "eventfd");
    auto self = std::unique_ptr<HubThread>(new HubThread);
    self->hub_ = std::move(hub);
    self->wake_ = std::move(wake);
    // Signals are the program's business, in the program's threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->thread_ = std::thread([raw = self.get()] { raw->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return self;
  }

  ~HubThread() {
    if (!thread_.joinable()) return;
    uint64_t one = 1;
    stopping_.store(true, std::memory_order_relaxed);  // relaxed: the write to the eventfd orders it
    while (write(wake_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    thread_.join();
  }

 private:
  HubThread() = default;

  void run() {
    while (!stopping_.load(std::memory_order_relaxed)) {
      wait(hub_->pollMs());
      hub_->work();
    }
    // The others' last answers: they are small and their readers wait for them.
    Deadline deadline = Deadline::afterMs(1000);
    while (hub_->hasOutput() && !deadline.expired()) {
      pollfd waiting{hub_->fd(), POLLIN, 0};
      poll(&waiting, 1, 10);
      hub_->work();
    }
  }

  void wait(int timeoutMs) {
    pollfd waiting[2] = {{hub_->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    poll(waiting, 2, timeoutMs);
  }

  std::unique_ptr<Hub> hub_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

class SoloExchange final : public Exchange {
 public:
  explicit SoloExchange(const World& world) : Exchange(world) {}

 private:
  Result<std::string> call(Operation operation, int, std::string_view mine) override {
    if (operation == Operation::Barrier) return std::string();
    if (operation == Operation::Broadcast) return std::string(mine);
    uint32_t length = static_cast<uint32_t>(mine.size());
    return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + std::string(mine);
  }
};

class HubExchange final : public Exchange {
 public:
  HubExchange(const World& world, int timeoutMs) : Exchange(world), timeoutMs_(timeoutMs) {}

  Status open(uint32_t generation) {
    Deadline deadline = Deadline::afterMs(timeoutMs_);
    TUTTI_ASSIGN(Rendezvous meeting, findRendezvous(world_, generation, deadline));
    where_ = fmt::format("the hub at {} ({} serves it)", meeting.place.text(), meeting.served);
    TUTTI_INFO(Bootstrap, "launch: rank {} of {} by {}; {}", world_.rank, world_.size, world_.launcher,
               where_);
    if (meeting.listener) {
      TUTTI_ASSIGN(hub_, HubThread::start(std::move(meeting.listener), meeting.key, world_.size));
    }
    Status joined = connectAndJoin(meeting, generation, deadline);
    if (!joined.ok()) return std::move(joined).error();
    return {};
  }

 private:
  // Attempts follow each other until the deadline: rank 0 may not listen yet, or, where several addresses
  // were published, one of them may lead to another machine.
  Status connectAndJoin(const Rendezvous& meeting, uint32_t generation, Deadline deadline) {
    int pauseMs = 2;
    std::string last = "no attempt";
    while (true) {
      auto connected = connectOnce(meeting.place, deadline);
      if (connected.ok()) {
        fd_ = std::move(connected).value();
        if (!meeting.place.unixName.empty() && peerUid(fd_.get()) != static_cast<int64_t>(geteuid())) {
          return makeError(Code::SystemError, "{} belongs to another user", where_);
        }
        bool again = false;
        Status joined = join(meeting, generation, deadline, again);
        if (joined.ok() || !again) return joined;
        last = joined.error().message();
        fd_.reset();
      } else {
        last = connected.error().message();
      }
      if (deadline.expired()) {
        return makeError(Code::Timeout,
                         "{} has not come: waited {} ms (TUTTI_INIT_TIMEOUT_MS) for {}; last: {}",
                         meeting.served, timeoutMs_, where_, last);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(pauseMs));
      pauseMs = std::min(2 * pauseMs, 50);
    }
  }

  /// Sets `again` where the failure may be over at the next attempt.
  Status join(const Rendezvous& meeting, uint32_t generation, Deadline deadline, bool& again) {
    again = true;
    std::string body;
    TUTTI_ASSIGN(Frame type, receiveFrame(body, kMaxHelloBytes, deadline));
    Reader challenge(body);
    uint32_t magic = challenge.u32(), version = challenge.u32();
    Block128 hubNonce = challenge.block();
    if (type != Frame::Challenge || !challenge.ok() || magic != kWireMagic) {
      return Error(Code::RemoteError, "the server there is not one of ours");
    }
    if (version != kWireVersion) {
      again = false;
      return makeError(Code::InvalidUsage, "{} is of another version of Tutti", where_);
    }
    Hello hello;
    hello.rank = static_cast<uint32_t>(world_.rank);
    hello.size = static_cast<uint32_t>(world_.size);
    hello.generation = generation;
    hello.timeoutMs = static_cast<uint32_t>(deadline.remainingMs(timeoutMs_));
    hello.nonce = randomBlock();
    hello.code = helloCode(meeting.key, hubNonce, hello);
    Writer frame(Frame::Hello);
    frame.u32(kWireMagic)
        .u32(kWireVersion)
        .u32(hello.rank)
        .u32(hello.size)
        .u32(hello.generation)
        .u32(hello.timeoutMs);
    frame.block(hello.nonce).block(hello.code);
    TUTTI_TRY(sendAll(fd_.get(), frame.take(), deadline));
    Deadline longer = Deadline::afterMs(deadline.remainingMs(timeoutMs_) + kHubGraceMs);
    TUTTI_ASSIGN(Frame answer, receiveFrame(body, 65536, longer));
    if (answer == Frame::Failure) {
      again = false;
      return failureOf(body).context("opening the exchange of all ranks");
    }
    Reader welcome(body);
    if (answer != Frame::Welcome ||
        !sameBlock(welcome.block(), welcomeCode(meeting.key, hubNonce, hello.nonce))) {
      return Error(Code::RemoteError, "the server there does not know this job's key");
    }
    return {};
  }

  Result<std::string> call(Operation operation, int root, std::string_view mine) override {
    if (!broken_.empty()) return Error(Code::InvalidUsage, "the exchange has failed before: " + broken_);
    auto answer = callOnce(operation, root, mine);
    if (!answer.ok()) broken_ = answer.error().message();
    return answer;
  }

  Result<std::string> callOnce(Operation operation, int root, std::string_view mine) {
    Deadline deadline = Deadline::afterMs(timeoutMs_ + kHubGraceMs);
    Writer frame(Frame::Call);
    frame.u8(static_cast<uint8_t>(operation)).u32(static_cast<uint32_t>(root)).text(mine);
    Status sent = sendAll(fd_.get(), frame.take(), deadline);
    // Where sending fails, the reason may be waiting to be read.
    std::string body;
    auto type = receiveFrame(body, kMaxAnswerBytes, deadline);
    if (!type.ok()) return std::move(type).error().context(where_);
    if (*type == Frame::Failure) return failureOf(body);
    if (!sent.ok()) return std::move(sent).error().context(where_);
    if (*type != Frame::Answer)
      return makeError(Code::InternalError, "{} sent frame {}", where_, static_cast<int>(*type));
    return body;
  }

  Result<Frame> receiveFrame(std::string& body, uint32_t maxBytes, Deadline deadline) {
    char head[5];
    TUTTI_TRY(receiveAll(fd_.get(), head, sizeof(head), deadline));
    uint32_t length;
    std::memcpy(&length, head, 4);
    if (length < 1 || length > maxBytes)
      return makeError(Code::RemoteError, "a frame of {} bytes came", length);
    body.resize(length - 1);
    TUTTI_TRY(receiveAll(fd_.get(), body.data(), body.size(), deadline));
    return static_cast<Frame>(head[4]);
  }

  static Error failureOf(std::string_view body) {
    Reader failure(body);
    uint32_t code = failure.u32();
    if (code < 1 || code > 8) code = static_cast<uint32_t>(Code::RemoteError);
    return Error(static_cast<Code>(code), std::string(failure.rest()));
  }

  int timeoutMs_;
  std::string where_;
  std::string broken_;
  std::unique_ptr<HubThread> hub_;
  UniqueFd fd_;
};

/// How many exchanges this process has opened: two one after the other must not be mixed up by ranks of
/// different speed.
std::atomic<uint32_t> gGeneration{0};

}  // namespace

Result<std::unique_ptr<Exchange>> Exchange::open(const World& world) {
  if (world.size < 1 || world.rank < 0 || world.rank >= world.size || world.size > kMaxRanks) {
    return makeError(Code::InvalidArgument, "rank {} of {} is not a place in a world", world.rank,
                     world.size);
  }
  if (world.size == 1) return std::unique_ptr<Exchange>(std::make_unique<SoloExchange>(world));
  TUTTI_ASSIGN(auto timeout, params::get("TUTTI_INIT_TIMEOUT_MS"));
  // 0 means for ever; a day is that, here.
  int timeoutMs = timeout.number < 1 || timeout.number > kDayMs ? kDayMs : static_cast<int>(timeout.number);
  auto exchange = std::make_unique<HubExchange>(world, timeoutMs);
  // relaxed: only the number counts, nothing is published with it.
  TUTTI_TRY(exchange->open(gGeneration.fetch_add(1, std::memory_order_relaxed)));
  return std::unique_ptr<Exchange>(std::move(exchange));
}

Status Exchange::broadcast(void* data, size_t bytes, int root) {
  if (root < 0 || root >= world_.size) {
    return makeError(Code::InvalidArgument, "broadcast: root {} is not below {}", root, world_.size);
  }
  if (bytes > kMaxContributionBytes) {
    return makeError(Code::InvalidArgument, "broadcast: {} bytes are more than {}", bytes,
                     kMaxContributionBytes);
  }
  std::string_view mine;
  if (world_.rank == root) mine = std::string_view(static_cast<const char*>(data), bytes);
  TUTTI_ASSIGN(std::string answer, call(Operation::Broadcast, root, mine));
  if (answer.size() != bytes) {
    return makeError(Code::InvalidUsage, "broadcast: rank {} sent {} bytes, rank {} expected {}", root,
                     answer.size(), world_.rank, bytes);
  }
  if (bytes > 0) std::memcpy(data, answer.data(), bytes);
  return {};
}

Result<std::vector<std::string>> Exchange::allGather(std::string_view mine) {
  if (mine.size() > kMaxContributionBytes) {
    return makeError(Code::InvalidArgument, "allGather: {} bytes are more than {}", mine.size(),
                     kMaxContributionBytes);
  }
  TUTTI_ASSIGN(std::string answer, call(Operation::AllGather, 0, mine));
  Reader reader(answer);
  std::vector<std::string> all;
  for (int rank = 0; rank < world_.size; ++rank) all.emplace_back(reader.take(reader.u32()));
  if (!reader.ok()) return Error(Code::InternalError, "allGather: the hub's answer is too short");
  return all;
}

Status Exchange::barrier() {
  auto answer = call(Operation::Barrier, 0, {});
  if (!answer.ok()) return std::move(answer).error();
  return {};
}

}  // namespace tutti::launch
