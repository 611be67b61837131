#include "transport/tcp/tcp_proxy.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::transport {
namespace {

// A broken connection is reported after this long, so that the control plane, which knows whether a process
// died, may speak first.
constexpr int64_t kGraceNs = 300'000'000;
constexpr int kIdleWaitMs = 50;
constexpr int kAcceptWaitMs = 1;

Status prepareSocket(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return makeSystemError(errno, "making a data socket nonblocking");
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  // Control sockets, which are always read, find a host that has gone. Here a peer that is late with its call
  // leaves its window closed for as long as it likes: that is no death.
  const unsigned int never = 0;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &never, sizeof(never));
  for (auto [name, option] :
       {std::pair{"NCCL_SOCKET_SNDBUF", SO_SNDBUF}, std::pair{"NCCL_SOCKET_RCVBUF", SO_RCVBUF}}) {
    if (int bytes = static_cast<int>(params::getInt(name)); bytes > 0)
      setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<NetProxy>> makeTcpProxy(control::ControlPlane& control, const Geometry& geometry,
                                               Doorbell& engine) {
  TUTTI_ASSIGN(std::unique_ptr<TcpProxy> proxy, TcpProxy::create(control, geometry, engine));
  return std::unique_ptr<NetProxy>(std::move(proxy));
}

Result<std::unique_ptr<TcpProxy>> TcpProxy::create(control::ControlPlane& control, const Geometry& geometry,
                                                   Doorbell& engine) {
  std::unique_ptr<TcpProxy> proxy(new TcpProxy(control, geometry, engine));
  proxy->event_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  proxy->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!proxy->event_ || !proxy->epoll_) return makeSystemError(errno, "making the network proxy");
  proxy->bell_.eventFdPlusOne = proxy->event_.get() + 1;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll_ctl(proxy->epoll_.get(), EPOLL_CTL_ADD, proxy->event_.get(), &event) != 0)
    return makeSystemError(errno, "epoll_ctl");
  proxy->thread_ = std::thread([self = proxy.get()] { self->run(); });
  return proxy;
}

TcpProxy::~TcpProxy() {
  stop_.store(true, std::memory_order_release);
  uint64_t one = 1;
  (void)!write(event_.get(), &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  for (auto& c : connections_) {
    if (c->out && c->socket) shutdown(c->socket.get(), SHUT_WR);
    munmap(c->memory, geometry_.fifoStride());
  }
}

Result<TcpProxy::Connection*> TcpProxy::add(int peer, int channel, bool out, UniqueFd socket) {
  void* memory = mmap(nullptr, geometry_.fifoStride(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return makeSystemError(errno, "{} bytes for a connection to rank {}", geometry_.fifoStride(), peer);
  auto connection = std::make_unique<Connection>();
  connection->peer = peer;
  connection->channel = channel;
  connection->out = out;
  connection->socket = std::move(socket);
  connection->memory = static_cast<std::byte*>(memory);
  connection->fifo = fifoIn(connection->memory, geometry_);
  Connection* raw = connection.get();
  std::lock_guard lock(mutex_);
  if (raw->socket) TUTTI_TRY(watch(*raw));
  connections_.push_back(std::move(connection));
  TUTTI_INFO(Net, "rank {} {} rank {} over TCP, channel {}", control_.rank(),
             out ? "sends to" : "receives from", peer, channel);
  return raw;
}

Status TcpProxy::watch(Connection& connection) {
  TUTTI_TRY(prepareSocket(connection.socket.get()));
  epoll_event event{};
  event.events = (connection.out ? EPOLLOUT : EPOLLIN) | EPOLLET;
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket.get(), &event) != 0)
    return makeSystemError(errno, "epoll_ctl");
  return {};
}

Result<FifoView> TcpProxy::outbound(int peer, int channel, const control::Wait& wait) {
  TUTTI_ASSIGN(UniqueFd socket, control_.openStream(peer, static_cast<uint32_t>(channel), wait));
  TUTTI_ASSIGN(Connection * connection, add(peer, channel, true, std::move(socket)));
  return connection->fifo;
}

Result<FifoView> TcpProxy::inbound(int peer, int channel, const control::Wait&) {
  TUTTI_ASSIGN(Connection * connection, add(peer, channel, false, UniqueFd()));
  ring(bell_);
  return connection->fifo;
}

Status TcpProxy::flush(const control::Wait& wait) {
  for (;;) {
    bool empty = true;
    {
      std::lock_guard lock(mutex_);
      for (auto& c : connections_) {
        if (!c->out || !c->broken.empty()) continue;
        empty &= c->fifo.header(c->next).seq.load(std::memory_order_acquire) != c->next + 1;
      }
    }
    if (empty) return {};
    if (wait.deadline.expired()) return Error(Code::Timeout, "messages were left unsent");
    if (control_.faultWord().load(std::memory_order_acquire) != 0) return control::errorOf(control_.fault());
    if (wait.abort != nullptr && wait.abort->load(std::memory_order_acquire))
      return Error(Code::InvalidUsage, "aborted");
    ring(bell_);
    timespec nap{0, 1'000'000};
    nanosleep(&nap, nullptr);
  }
}

void TcpProxy::breakOff(Connection& c, int64_t nowNs, std::string why) {
  c.broken = std::move(why);
  c.brokenAtNs = nowNs;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, c.socket.get(), nullptr);
}

void TcpProxy::reportBroken(Connection& c, int64_t nowNs) {
  if (c.brokenAtNs == 0 || nowNs - c.brokenAtNs < kGraceNs) return;
  c.brokenAtNs = 0;
  if (control_.hasLeft(c.peer) || control_.faultWord().load(std::memory_order_acquire) != 0) return;
  control_.raise({control::FaultKind::Dead, c.peer,
                  fmt::format("rank {}'s connection {} rank {} ({}) broke: {}", control_.rank(),
                              c.out ? "to" : "from", c.peer, control_.peer(c.peer).text(), c.broken)});
}

bool TcpProxy::sendSome(Connection& c) {
  bool moved = false;
  while (c.fifo.header(c.next).seq.load(std::memory_order_acquire) == c.next + 1) {
    const SlotHeader& slot = c.fifo.header(c.next);
    c.header = {FrameHeader::kMagic, slot.signature, slot.bytes};
    const size_t total = sizeof(FrameHeader) + slot.bytes;
    iovec parts[2];
    int count = 0;
    if (c.done < sizeof(FrameHeader)) {
      parts[count++] = {reinterpret_cast<std::byte*>(&c.header) + c.done, sizeof(FrameHeader) - c.done};
    }
    const size_t payloadDone = c.done > sizeof(FrameHeader) ? c.done - sizeof(FrameHeader) : 0;
    if (slot.bytes > payloadDone)
      parts[count++] = {c.fifo.slot(c.next) + payloadDone, slot.bytes - payloadDone};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<size_t>(count);
    ssize_t sent = sendmsg(c.socket.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR)
        breakOff(c, nowNs(), makeSystemError(errno, "sending").message());
      return moved;
    }
    moved = true;
    c.done += static_cast<size_t>(sent);
    if (c.done < total) continue;
    c.done = 0;
    ++c.next;
    c.fifo.head->value.store(c.next, std::memory_order_release);
    ring(engine_);
  }
  return moved;
}

bool TcpProxy::tryAccept(Connection& c) {
  auto socket =
      control_.acceptStream(c.peer, static_cast<uint32_t>(c.channel), {Deadline::afterMs(0), nullptr});
  if (!socket.ok()) return false;  // not there yet; a fault ends the wait in the engine
  c.socket = std::move(socket).value();
  if (Status status = watch(c); !status.ok()) breakOff(c, nowNs(), status.error().message());
  return true;
}

bool TcpProxy::receiveSome(Connection& c, int64_t nowNs) {
  bool moved = false;
  while (c.next - c.fifo.head->value.load(std::memory_order_acquire) < c.fifo.depth) {
    iovec parts[2];
    int count = 0;
    if (c.done < sizeof(FrameHeader)) {
      parts[count++] = {reinterpret_cast<std::byte*>(&c.header) + c.done, sizeof(FrameHeader) - c.done};
    } else {
      const size_t payloadDone = c.done - sizeof(FrameHeader);
      parts[count++] = {c.fifo.slot(c.next) + payloadDone, c.header.bytes - payloadDone};
    }
    ssize_t got = readv(c.socket.get(), parts, count);
    if (got == 0) {
      breakOff(c, nowNs, "the peer closed it");
      return moved;
    }
    if (got < 0) {
      if (errno != EAGAIN && errno != EINTR)
        breakOff(c, nowNs, makeSystemError(errno, "receiving").message());
      return moved;
    }
    moved = true;
    c.done += static_cast<size_t>(got);
    if (c.done < sizeof(FrameHeader)) continue;
    if (c.header.magic != FrameHeader::kMagic || c.header.bytes > c.fifo.slotBytes) {
      breakOff(c, nowNs, fmt::format("a malformed frame of {} bytes", c.header.bytes));
      return moved;
    }
    if (c.done < sizeof(FrameHeader) + c.header.bytes) continue;
    SlotHeader& slot = c.fifo.header(c.next);
    slot.signature = c.header.signature;
    slot.carrier = Carrier::Slot;
    slot.bytes = c.header.bytes;
    slot.seq.store(c.next + 1, std::memory_order_release);
    c.done = 0;
    ++c.next;
    ring(engine_);
  }
  return moved;
}

bool TcpProxy::doWork(int64_t nowNs) {
  std::lock_guard lock(mutex_);
  bool moved = false;
  for (auto& c : connections_) {
    if (!c->broken.empty()) {
      reportBroken(*c, nowNs);
    } else if (c->out) {
      moved |= sendSome(*c);
    } else if (c->socket || tryAccept(*c)) {
      moved |= receiveSome(*c, nowNs);
    }
  }
  return moved;
}

void TcpProxy::run() {
  if (params::getBool("NCCL_SET_THREAD_NAME")) pthread_setname_np(pthread_self(), "tutti-tcp");
  while (!stop_.load(std::memory_order_acquire)) {
    if (doWork(nowNs())) continue;
    prepareSleep(bell_);
    if (doWork(nowNs())) {
      cancelSleep(bell_);
      continue;
    }
    int waitMs = kIdleWaitMs;
    {
      std::lock_guard lock(mutex_);
      for (auto& c : connections_) {
        if (!c->out && !c->socket) waitMs = kAcceptWaitMs;
      }
    }
    epoll_event events[16];
    epoll_wait(epoll_.get(), events, 16, waitMs);
    cancelSleep(bell_);
    uint64_t rung;
    (void)!read(event_.get(), &rung, sizeof(rung));
  }
}

}  // namespace tutti::transport
