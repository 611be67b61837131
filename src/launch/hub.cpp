#include "launch/hub.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/log.hpp"

namespace tutti::launch {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int kHelloTimeoutMs = 10'000;
constexpr uint32_t kMaxTimeoutMs = 86'400'000;
constexpr int kPollMs = 100;

const char* operationName(uint8_t operation) {
  return operation == 1 ? "barrier" : operation == 2 ? "broadcast" : "allGather";
}

}  // namespace

std::string rankList(const std::vector<int>& ranks) {
  constexpr size_t kMostRuns = 8;
  std::string list;
  size_t runs = 0;
  for (size_t at = 0; at < ranks.size();) {
    if (runs == kMostRuns) return fmt::format("ranks {} and {} more", list, ranks.size() - at);
    size_t end = at + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (!list.empty()) list += ", ";
    list += end - at == 1 ? fmt::format("{}", ranks[at]) : fmt::format("{}-{}", ranks[at], ranks[end - 1]);
    at = end;
    ++runs;
  }
  return (ranks.size() == 1 ? "rank " : "ranks ") + list;
}

Result<std::unique_ptr<Hub>> Hub::create(UniqueFd listener, const Block128& key, int size) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return makeSystemError(errno, "epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener.get();
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0)
    return makeSystemError(errno, "epoll_ctl");
  return std::unique_ptr<Hub>(new Hub(std::move(listener), std::move(epoll), key, size));
}

Hub::Hub(UniqueFd listener, UniqueFd epoll, const Block128& key, int size)
    : listener_(std::move(listener)), epoll_(std::move(epoll)), key_(key), size_(size) {}

Hub::~Hub() = default;

int Hub::pollMs() const {
  return connections_.empty() ? 60'000 : kPollMs;
}

bool Hub::hasOutput() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const auto& entry) { return !entry.second->dead && !entry.second->out.empty(); });
}

void Hub::work() {
  epoll_event events[64];
  int count = epoll_wait(epoll_.get(), events, 64, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == listener_.get()) {
      acceptAll();
      continue;
    }
    auto found = connections_.find(events[i].data.fd);
    if (found == connections_.end() || found->second->dead) continue;
    Connection& connection = *found->second;
    if (events[i].events & EPOLLOUT) flush(connection);
    if (!connection.dead && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) readFrom(connection);
  }
  checkDeadlines();
  sweep();
}

void Hub::acceptAll() {
  while (true) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        // Out of descriptors, mostly: the peer waits in the backlog, or gives up with an error of its own.
        TUTTI_WARN("launch: cannot accept a rank's connection: {}",
                   makeSystemErrorText(errno, "accept").message());
      }
      return;
    }
    int64_t uid = peerUid(fd.get());
    if (uid >= 0 && uid != static_cast<int64_t>(geteuid())) {
      TUTTI_WARN("launch: dropped a connection of user {}, who is not us", uid);
      continue;
    }
    std::vector<Connection*> strangers;
    for (auto& [number, connection] : connections_) {
      if (!connection->dead && connection->state == Connection::State::Hello)
        strangers.push_back(connection.get());
    }
    if (strangers.size() >= static_cast<size_t>(2 * size_ + 64)) {
      auto oldest = std::min_element(strangers.begin(), strangers.end(),
                                     [](auto* a, auto* b) { return a->deadlineNs < b->deadlineNs; });
      TUTTI_WARN("launch: too many connections without a greeting; dropped the oldest");
      drop(**oldest);
    }
    int number = fd.get();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = number;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, number, &event) != 0) continue;
    auto connection = std::make_unique<Connection>();
    connection->fd = std::move(fd);
    connection->nonce = randomBlock();
    connection->deadlineNs = nowNs() + kHelloTimeoutMs * kNsPerMs;
    Writer challenge(Frame::Challenge);
    challenge.u32(kWireMagic).u32(kWireVersion).block(connection->nonce);
    Connection& stored = *(connections_[number] = std::move(connection));
    send(stored, std::make_shared<const std::string>(challenge.take()));
  }
}

void Hub::readFrom(Connection& connection) {
  char buffer[65536];
  while (!connection.dead) {
    bool stranger = connection.state == Connection::State::Hello;
    ssize_t got = recv(connection.fd.get(), buffer, stranger ? kMaxHelloBytes : sizeof(buffer), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      drop(connection);
      return;
    }
    if (connection.state == Connection::State::Closing)
      continue;  // it has got its failure; what it says is void
    connection.in.append(buffer, static_cast<size_t>(got));
    while (!connection.dead && connection.in.size() >= 5) {
      uint32_t length;
      std::memcpy(&length, connection.in.data(), 4);
      if (length < 1 || length > (stranger ? kMaxHelloBytes : kMaxCallBytes)) {
        TUTTI_WARN("launch: dropped a connection that sent a frame of {} bytes", length);
        drop(connection);
        return;
      }
      if (connection.in.size() < 4 + static_cast<size_t>(length)) break;
      std::string body = connection.in.substr(5, length - 1);
      Frame type = static_cast<Frame>(connection.in[4]);
      connection.in.erase(0, 4 + static_cast<size_t>(length));
      if (!onFrame(connection, type, body)) {
        TUTTI_WARN("launch: dropped a connection that did not prove that it belongs to this job");
        drop(connection);
        return;
      }
      stranger = connection.state == Connection::State::Hello;
    }
  }
}

bool Hub::onFrame(Connection& connection, Frame type, std::string_view body) {
  switch (connection.state) {
    case Connection::State::Hello:
      return type == Frame::Hello && onHello(connection, body);
    case Connection::State::Idle:
      return type == Frame::Call && onCall(connection, body);
    case Connection::State::Closing:
      return true;
    default:
      return false;  // nothing is to be said before the answer
  }
}

bool Hub::onHello(Connection& connection, std::string_view body) {
  Reader reader(body);
  Hello& hello = connection.hello;
  uint32_t magic = reader.u32(), version = reader.u32();
  hello.rank = reader.u32();
  hello.size = reader.u32();
  hello.generation = reader.u32();
  hello.timeoutMs = std::min(reader.u32(), kMaxTimeoutMs);
  hello.nonce = reader.block();
  hello.code = reader.block();
  if (!reader.ok() || magic != kWireMagic || version != kWireVersion) return false;
  if (!sameBlock(hello.code, helloCode(key_, connection.nonce, hello))) return false;
  join(connection);
  return true;
}

Hub::Group& Hub::groupFor(const Hello& hello) {
  for (Group& group : groups_) {
    // A rank that is here twice in an incomplete group is a second claim to the rank; in a complete one, the
    // next program.
    bool taken = group.came[hello.rank] && (group.complete || !group.members[hello.rank]);
    if (group.generation == hello.generation && !taken) return group;
  }
  Group& group = groups_.emplace_back();
  group.generation = hello.generation;
  group.members.resize(size_);
  group.came.resize(size_);
  group.contributions.resize(size_);
  return group;
}

void Hub::join(Connection& connection) {
  const Hello& hello = connection.hello;
  if (hello.rank >= hello.size || static_cast<int>(hello.size) != size_) {
    std::string text =
        fmt::format("rank {} says that there are {} ranks, others say {}", hello.rank, hello.size, size_);
    failConnection(connection, Code::InvalidUsage, text);
    for (Group& group : groups_) {
      if (!group.complete && group.generation == hello.generation) fail(group, Code::InvalidUsage, text);
    }
    return;
  }
  Group& group = groupFor(hello);
  if (group.members[hello.rank]) {
    std::string text = fmt::format("two processes say that they are rank {} of {}", hello.rank, size_);
    failConnection(connection, Code::InvalidUsage, text);
    fail(group, Code::InvalidUsage, text);
    return;
  }
  connection.group = &group;
  connection.state = Connection::State::Joining;
  connection.deadlineNs = nowNs() + hello.timeoutMs * kNsPerMs;
  group.members[hello.rank] = &connection;
  group.came[hello.rank] = true;
  ++group.cameCount;
  for (auto& [rank, how] : ended_) {
    if (!group.came[rank] && group.failure.empty()) {
      fail(group, Code::RemoteError, fmt::format("the process of rank {} has ended ({})", rank, how));
    }
  }
  if (!group.failure.empty()) {
    failConnection(connection, static_cast<Code>(group.failureCode), group.failure);
  } else if (group.cameCount == size_) {
    welcome(group);
  }
}

void Hub::welcome(Group& group) {
  group.complete = true;
  for (Connection* member : group.members) {
    member->state = Connection::State::Idle;
    member->deadlineNs = 0;
  }
  for (Connection* member : std::vector<Connection*>(group.members)) {
    Writer frame(Frame::Welcome);
    frame.block(welcomeCode(key_, member->nonce, member->hello.nonce));
    send(*member, std::make_shared<const std::string>(frame.take()));
  }
}

bool Hub::onCall(Connection& connection, std::string_view body) {
  Reader reader(body);
  uint8_t operation = reader.u8();
  uint32_t root = reader.u32();
  if (!reader.ok() || operation < 1 || operation > 3 || root >= static_cast<uint32_t>(size_)) return false;
  Group& group = *connection.group;
  if (!group.failure.empty()) {
    failConnection(connection, static_cast<Code>(group.failureCode), group.failure);
    return true;
  }
  if (group.calledCount == 0) {
    group.firstCaller = connection.hello.rank;
    group.operation = operation;
    group.root = root;
  }
  connection.state = Connection::State::Calling;
  connection.deadlineNs = nowNs() + connection.hello.timeoutMs * kNsPerMs;
  group.contributions[connection.hello.rank] = std::string(reader.rest());
  ++group.calledCount;
  if (group.operation != operation || group.root != root) {
    fail(group, Code::InvalidUsage,
         fmt::format("rank {} calls {} (root {}), rank {} calls {} (root {})", connection.hello.rank,
                     operationName(operation), root, group.firstCaller, operationName(group.operation),
                     group.root));
    return true;
  }
  for (int rank = 0; rank < size_; ++rank) {
    if (!group.members[rank] && !group.contributions[rank]) {
      fail(group, Code::RemoteError,
           fmt::format("rank {} has left; {} cannot complete", rank, operationName(operation)));
      return true;
    }
  }
  if (group.calledCount == size_) answer(group);
  return true;
}

void Hub::answer(Group& group) {
  Writer frame(Frame::Answer);
  if (group.operation == 2) frame.text(*group.contributions[group.root]);
  if (group.operation == 3) {
    for (const auto& contribution : group.contributions) {
      frame.u32(static_cast<uint32_t>(contribution->size())).text(*contribution);
    }
  }
  auto shared = std::make_shared<const std::string>(frame.take());
  group.calledCount = 0;
  for (auto& contribution : group.contributions) contribution.reset();
  std::vector<Connection*> members = group.members;
  for (Connection* member : members) {
    if (!member) continue;
    member->state = Connection::State::Idle;
    member->deadlineNs = 0;
  }
  for (Connection* member : members) {
    if (member) send(*member, shared);
  }
}

void Hub::fail(Group& group, Code code, const std::string& text) {
  if (group.failure.empty()) {
    group.failure = text;
    group.failureCode = static_cast<int>(code);
  }
  for (Connection* member : std::vector<Connection*>(group.members)) {
    // An idle member hears of it at its next call, if it makes one.
    if (member && member->state != Connection::State::Idle) failConnection(*member, code, group.failure);
  }
}

void Hub::failConnection(Connection& connection, Code code, const std::string& text) {
  if (connection.dead || connection.state == Connection::State::Closing) return;
  connection.state = Connection::State::Closing;
  connection.deadlineNs = nowNs() + kHelloTimeoutMs * kNsPerMs;  // time to read it; then the connection goes
  Writer frame(Frame::Failure);
  frame.u32(static_cast<uint32_t>(code)).text(text);
  send(connection, std::make_shared<const std::string>(frame.take()));
}

void Hub::send(Connection& connection, std::shared_ptr<const std::string> frame) {
  if (connection.dead) return;
  connection.out.push_back(std::move(frame));
  flush(connection);
}

void Hub::flush(Connection& connection) {
  while (!connection.out.empty()) {
    const std::string& frame = *connection.out.front();
    ssize_t sent = ::send(connection.fd.get(), frame.data() + connection.outSent,
                          frame.size() - connection.outSent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      drop(connection);
      return;
    }
    connection.outSent += static_cast<size_t>(sent);
    if (connection.outSent == frame.size()) {
      connection.out.pop_front();
      connection.outSent = 0;
    }
  }
  bool wantsWrite = !connection.out.empty();
  if (wantsWrite != connection.wantsWrite) {
    epoll_event event{};
    event.events = EPOLLIN | (wantsWrite ? EPOLLOUT : 0u);
    event.data.fd = connection.fd.get();
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
    connection.wantsWrite = wantsWrite;
  }
}

void Hub::drop(Connection& connection) {
  if (connection.dead) return;
  connection.dead = true;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  Group* group = connection.group;
  if (!group) return;
  int rank = static_cast<int>(connection.hello.rank);
  if (group->members[rank] == &connection) group->members[rank] = nullptr;
  if (!group->failure.empty()) return;
  if (!group->complete) {
    fail(*group, Code::RemoteError, fmt::format("rank {} came and left before all had come", rank));
  } else if (group->calledCount > 0) {
    fail(*group, Code::RemoteError,
         fmt::format("rank {} has left; {} cannot complete", rank, operationName(group->operation)));
  }
}

void Hub::rankEnded(int rank, const std::string& how) {
  ended_.emplace(rank, how);
  std::string text = fmt::format("the process of rank {} has ended ({})", rank, how);
  for (Group& group : groups_) {
    bool missed = !group.came[rank] || (group.calledCount > 0 && !group.contributions[rank]);
    if (group.failure.empty() && missed) fail(group, Code::RemoteError, text);
  }
  sweep();
}

std::string Hub::notCome(const Group& group) const {
  std::vector<int> ranks;
  for (int rank = 0; rank < size_; ++rank) {
    if (!group.came[rank]) ranks.push_back(rank);
  }
  return rankList(ranks);
}

std::string Hub::notCalled(const Group& group) const {
  std::vector<int> ranks;
  for (int rank = 0; rank < size_; ++rank) {
    if (!group.contributions[rank]) ranks.push_back(rank);
  }
  return rankList(ranks);
}

void Hub::checkDeadlines() {
  int64_t now = nowNs();
  for (auto& [number, connection] : connections_) {
    if (connection->dead || connection->deadlineNs == 0 || now < connection->deadlineNs) continue;
    Group* group = connection->group;
    uint32_t timeoutMs = connection->hello.timeoutMs;
    switch (connection->state) {
      case Connection::State::Joining:
        fail(*group, Code::Timeout,
             fmt::format("waited {} ms (TUTTI_INIT_TIMEOUT_MS) for {} of {}", timeoutMs, notCome(*group),
                         size_));
        break;
      case Connection::State::Calling:
        fail(*group, Code::Timeout,
             fmt::format("waited {} ms (TUTTI_INIT_TIMEOUT_MS) for {} of {} to call {}", timeoutMs,
                         notCalled(*group), size_, operationName(group->operation)));
        break;
      default:
        if (connection->state == Connection::State::Hello) {
          TUTTI_WARN("launch: dropped a connection that sent no greeting in {} ms", kHelloTimeoutMs);
        }
        drop(*connection);
    }
  }
}

void Hub::sweep() {
  std::erase_if(connections_, [](const auto& entry) { return entry.second->dead; });
  // A group is over when all have come and all have gone; a failed one stays for those who are still to come.
  groups_.remove_if([](const Group& group) {
    return group.complete && std::all_of(group.members.begin(), group.members.end(),
                                         [](Connection* member) { return !member; });
  });
}

}  // namespace tutti::launch
