// Address: an IPv4 or IPv6 endpoint; and which of this host's addresses to use.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace tutti::control {

/// A value; default-constructed it is no address (family 0).
struct Address {
  uint8_t family = 0;  ///< 0, 4 or 6
  uint16_t port = 0;   ///< host byte order
  uint32_t scope = 0;  ///< IPv6 link-local scope on this host
  uint8_t ip[16] = {};

  bool valid() const { return family == 4 || family == 6; }
  bool isLoopback() const;
  bool isLinkLocal() const;
  std::string text() const;  ///< "10.0.0.1:4000", "[fe80::1%2]:4000"

  /// Fills `out` and returns its length for connect() and bind().
  socklen_t toSockaddr(sockaddr_storage& out) const;
  static Address fromSockaddr(const sockaddr* address);
  /// "host:port", "1.2.3.4:port", "[v6]:port"; resolves names.
  static Result<Address> parse(std::string_view text);

  bool operator==(const Address&) const = default;
};

struct Interface {
  std::string name;
  Address address;
};

/// NCCL_SOCKET_IFNAME: "eth,ib" names that begin so, "=eth0" exactly these, "^docker,lo" all but those that
/// begin so,
/// "^=eth0" all but these.
bool matchesInterfaceList(std::string_view name, std::string_view list);

/// Orders and filters `all` as NCCL does: the list if given; otherwise ib* first, then all but docker*, lo
/// and virbr*, then docker*, then lo. `family`: 0 (any), 4 or 6.
std::vector<Interface> chooseInterfaces(const std::vector<Interface>& all, std::string_view list, int family);

/// This host's interfaces that are up, one entry per address.
Result<std::vector<Interface>> listInterfaces();

/// The interface this process talks on: NCCL_SOCKET_IFNAME, NCCL_SOCKET_FAMILY.
Result<Interface> localInterface();

}  // namespace tutti::control
