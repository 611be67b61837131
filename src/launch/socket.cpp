#include "launch/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace tutti::launch {
namespace {

constexpr int kBacklog = 4096;
constexpr int kConnectAttemptMs = 2000;

struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
};

Result<Endpoint> unixEndpoint(const std::string& name) {
  Endpoint endpoint;
  auto* address = reinterpret_cast<sockaddr_un*>(&endpoint.address);
  address->sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof(address->sun_path)) {
    return makeError(Code::InternalError, "Unix socket name '{}' is too long", name);
  }
  std::memcpy(address->sun_path + 1, name.data(), name.size());
  endpoint.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return endpoint;
}

Result<std::vector<Endpoint>> resolve(const std::string& host, uint16_t port, bool passive) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  int code =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), fmt::format("{}", port).c_str(), &hints, &list);
  if (code != 0) {
    return makeError(Code::SystemError, "host name '{}' cannot be resolved: {}", host, gai_strerror(code));
  }
  std::vector<Endpoint> endpoints;
  for (addrinfo* entry = list; entry; entry = entry->ai_next) {
    Endpoint endpoint;
    std::memcpy(&endpoint.address, entry->ai_addr, entry->ai_addrlen);
    endpoint.length = entry->ai_addrlen;
    endpoints.push_back(endpoint);
  }
  freeaddrinfo(list);
  return endpoints;
}

Result<UniqueFd> listenAt(const Endpoint& endpoint) {
  int family = endpoint.address.ss_family;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return makeSystemError(errno, "socket");
  int on = 1, off = 0;
  if (family != AF_UNIX) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length) != 0) {
    return makeSystemError(errno, "bind");
  }
  if (listen(fd.get(), kBacklog) != 0) return makeSystemError(errno, "listen");
  return fd;
}

Result<UniqueFd> connectTo(const Endpoint& endpoint, Deadline deadline) {
  int family = endpoint.address.ss_family;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return makeSystemError(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length) != 0) {
    if (errno != EINPROGRESS) return makeSystemError(errno, "connect");
    pollfd waiting{fd.get(), POLLOUT, 0};
    int ready;
    do {
      ready = poll(&waiting, 1, deadline.remainingMs(kConnectAttemptMs));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) return makeSystemError(ETIMEDOUT, "connect");
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return makeSystemError(error, "connect");
  }
  if (family != AF_UNIX) {
    int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  }
  return fd;
}

Status waitFor(int fd, short events, Deadline deadline) {
  pollfd waiting{fd, events, 0};
  while (true) {
    int ready = poll(&waiting, 1, deadline.remainingMs(1000));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return makeSystemError(errno, "poll");
    if (deadline.expired()) return Error(Code::Timeout, "no answer in time");
  }
}

}  // namespace

std::string Place::text() const {
  if (!unixName.empty()) return "@" + unixName;
  std::string names;
  for (const std::string& host : hosts) {
    if (!names.empty()) names += ", ";
    bool colons = host.find(':') != std::string::npos;
    names += colons ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  }
  return names;
}

Result<Place> placeFromText(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return makeError(Code::InvalidArgument, "'{}' is not host:port", text);
  }
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return makeError(Code::InvalidArgument, "'{}' is not host:port (write an IPv6 address as [address]:port)",
                     text);
  }
  Place place;
  auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), place.port);
  if (code != std::errc() || end != digits.data() + digits.size() || place.port == 0) {
    return makeError(Code::InvalidArgument, "'{}' is not host:port: the port is a number from 1 to 65535",
                     text);
  }
  place.hosts.emplace_back(host);
  return place;
}

Result<UniqueFd> listenUnix(const std::string& name) {
  TUTTI_ASSIGN(Endpoint endpoint, unixEndpoint(name));
  auto listener = listenAt(endpoint);
  if (!listener.ok()) return std::move(listener).error().context("listening at @" + name);
  return listener;
}

Result<UniqueFd> listenTcp(const std::string& host, uint16_t port) {
  TUTTI_ASSIGN(auto endpoints, resolve(host, port, true));
  if (host.empty()) {  // one IPv6 socket serves both families; IPv4 alone where there is no IPv6
    std::stable_sort(endpoints.begin(), endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
      return a.address.ss_family == AF_INET6 && b.address.ss_family != AF_INET6;
    });
  }
  Error last(Code::SystemError, "no address");
  for (const Endpoint& endpoint : endpoints) {
    auto listener = listenAt(endpoint);
    if (listener.ok()) return listener;
    last = std::move(listener).error();
  }
  return std::move(last).context(fmt::format("listening at {}:{}", host.empty() ? "*" : host, port));
}

Result<uint16_t> portOf(int listener) {
  sockaddr_storage address;
  socklen_t length = sizeof(address);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return makeSystemError(errno, "getsockname");
  }
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

Result<UniqueFd> connectOnce(const Place& place, Deadline deadline) {
  if (!place.unixName.empty()) {
    TUTTI_ASSIGN(Endpoint endpoint, unixEndpoint(place.unixName));
    return connectTo(endpoint, deadline);
  }
  Error last(Code::SystemError, "no address");
  for (const std::string& host : place.hosts) {
    auto endpoints = resolve(host, place.port, false);
    if (!endpoints.ok()) {
      last = std::move(endpoints).error();
      continue;
    }
    for (const Endpoint& endpoint : *endpoints) {
      auto fd = connectTo(endpoint, deadline);
      if (fd.ok()) return fd;
      last = std::move(fd).error();
    }
  }
  return last;
}

int64_t peerUid(int fd) {
  ucred credentials;
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 || credentials.pid == 0) return -1;
  return credentials.uid;
}

std::vector<std::string> ownAddresses() {
  std::vector<std::string> global, loopback;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {"127.0.0.1"};
  for (ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) continue;
    int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    // A link-local address needs the reader's interface name, which we cannot know.
    auto* six = reinterpret_cast<sockaddr_in6*>(entry->ifa_addr);
    if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) continue;
    char text[NI_MAXHOST];
    socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (getnameinfo(entry->ifa_addr, length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    (entry->ifa_flags & IFF_LOOPBACK ? loopback : global).emplace_back(text);
  }
  freeifaddrs(list);
  global.insert(global.end(), loopback.begin(), loopback.end());
  return global;
}

Status sendAll(int fd, std::string_view data, Deadline deadline) {
  while (!data.empty()) {
    ssize_t sent = send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      data.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      TUTTI_TRY(waitFor(fd, POLLOUT, deadline));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return Error(Code::RemoteError, "connection closed by the other side");
    } else if (errno != EINTR) {
      return makeSystemError(errno, "send");
    }
  }
  return {};
}

Status receiveAll(int fd, void* data, size_t bytes, Deadline deadline) {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    ssize_t got = recv(fd, to, bytes, MSG_DONTWAIT);
    if (got > 0) {
      to += got;
      bytes -= static_cast<size_t>(got);
    } else if (got == 0 || errno == ECONNRESET) {
      return Error(Code::RemoteError, "connection closed by the other side");
    } else if (errno == EAGAIN) {
      TUTTI_TRY(waitFor(fd, POLLIN, deadline));
    } else if (errno != EINTR) {
      return makeSystemError(errno, "recv");
    }
  }
  return {};
}

void setNonBlocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

}  // namespace tutti::launch
