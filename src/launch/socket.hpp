// The few socket operations that the launch room needs: addresses, listening, connecting by a deadline.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/unique_fd.hpp"

namespace tutti::launch {

/// Where a hub listens: an abstract Unix socket of this host, or a TCP port under one of several host names
/// or addresses.
struct Place {
  std::string unixName;            ///< without the leading zero byte; empty: TCP
  std::vector<std::string> hosts;  ///< tried in turn
  uint16_t port = 0;

  std::string text() const;
};

/// "host:port", "1.2.3.4:5", "[fe80::1%eth0]:5".
Result<Place> placeFromText(std::string_view text);

/// Listens at an abstract Unix name, readable by anybody: check peerUid().
Result<UniqueFd> listenUnix(const std::string& name);
/// Listens at one address of this host, or at all of them when `host` is empty; `port` 0 lets the system
/// choose.
Result<UniqueFd> listenTcp(const std::string& host, uint16_t port);
Result<uint16_t> portOf(int listener);

/// One attempt at each address of `place`; waits at most until the deadline, and at most 2 s per address.
Result<UniqueFd> connectOnce(const Place& place, Deadline deadline);

/// The user at the other end of a Unix socket; -1 where that cannot be told.
int64_t peerUid(int fd);

/// This host's addresses, those that other hosts may reach first, loopback last.
std::vector<std::string> ownAddresses();

/// Whole-buffer transfers on a socket, by a deadline. A closed connection is a RemoteError, a missed deadline
/// a Timeout.
Status sendAll(int fd, std::string_view data, Deadline deadline);
Status receiveAll(int fd, void* data, size_t bytes, Deadline deadline);

void setNonBlocking(int fd);

}  // namespace tutti::launch
