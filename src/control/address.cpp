#include "control/address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "core/param.hpp"

namespace tutti::control {

bool Address::isLoopback() const {
  if (family == 4) return ip[0] == 127;
  if (family != 6) return false;
  return std::all_of(ip, ip + 15, [](uint8_t b) { return b == 0; }) && ip[15] == 1;
}

bool Address::isLinkLocal() const {
  if (family == 4) return ip[0] == 169 && ip[1] == 254;
  return family == 6 && ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

std::string Address::text() const {
  if (!valid()) return "(no address)";
  char buffer[INET6_ADDRSTRLEN] = {};
  if (family == 4) {
    inet_ntop(AF_INET, ip, buffer, sizeof(buffer));
    return fmt::format("{}:{}", buffer, port);
  }
  inet_ntop(AF_INET6, ip, buffer, sizeof(buffer));
  return scope ? fmt::format("[{}%{}]:{}", buffer, scope, port) : fmt::format("[{}]:{}", buffer, port);
}

socklen_t Address::toSockaddr(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof(out));
  if (family == 4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip, 4);
    return sizeof(v4);
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_scope_id = scope;
  std::memcpy(&v6.sin6_addr, ip, 16);
  return sizeof(v6);
}

Address Address::fromSockaddr(const sockaddr* address) {
  Address result;
  if (address == nullptr) return result;
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    result.family = 4;
    result.port = ntohs(v4->sin_port);
    std::memcpy(result.ip, &v4->sin_addr, 4);
  } else if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    result.family = 6;
    result.port = ntohs(v6->sin6_port);
    result.scope = v6->sin6_scope_id;
    std::memcpy(result.ip, &v6->sin6_addr, 16);
  }
  return result;
}

Result<Address> Address::parse(std::string_view text) {
  const auto bad = [&] {
    return makeError(Code::InvalidArgument,
                     "'{}' is no address: expected host:port, 1.2.3.4:port or [ipv6]:port", text);
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad();
  std::string_view host = text.substr(0, colon);
  const std::string_view portText = text.substr(colon + 1);
  uint16_t port = 0;
  const auto parsed = std::from_chars(portText.data(), portText.data() + portText.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != portText.data() + portText.size() || port == 0) return bad();
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = getaddrinfo(std::string(host).c_str(), nullptr, &hints, &found);
  if (rc != 0) {
    return makeError(Code::InvalidArgument, "cannot resolve host '{}' of '{}': {}", host, text,
                     gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  Address result = fromSockaddr(found->ai_addr);
  if (!result.valid()) return bad();
  result.port = port;
  return result;
}

bool matchesInterfaceList(std::string_view name, std::string_view list) {
  bool exclude = false;
  bool exact = false;
  if (!list.empty() && list.front() == '^') {
    exclude = true;
    list.remove_prefix(1);
  }
  if (!list.empty() && list.front() == '=') {
    exact = true;
    list.remove_prefix(1);
  }
  bool hit = false;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    item = item.substr(0, item.find(':'));  // NCCL allows name:port; the port has no meaning here
    if (item.empty()) continue;
    hit = hit || (exact ? name == item : name.starts_with(item));
  }
  return hit != exclude;
}

std::vector<Interface> chooseInterfaces(const std::vector<Interface>& all, std::string_view list,
                                        int family) {
  const auto rank = [](const Interface& entry) {
    const std::string_view name = entry.name;
    if (entry.address.isLoopback() || name == "lo") return 3;
    if (name.starts_with("docker") || name.starts_with("virbr")) return 2;
    return name.starts_with("ib") ? 0 : 1;
  };
  std::vector<Interface> chosen;
  for (const Interface& entry : all) {
    if (family != 0 && entry.address.family != family) continue;
    if (!list.empty() && !matchesInterfaceList(entry.name, list)) continue;
    chosen.push_back(entry);
  }
  // IPv4 before IPv6 and link-local last within an interface class, so that the first one is the most widely
  // reachable.
  std::stable_sort(chosen.begin(), chosen.end(), [&](const Interface& a, const Interface& b) {
    const auto key = [&](const Interface& e) {
      return std::tuple(rank(e), e.address.isLinkLocal(), e.address.family);
    };
    return key(a) < key(b);
  });
  return chosen;
}

Result<std::vector<Interface>> listInterfaces() {
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) != 0) return makeSystemError(errno, "listing network interfaces");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(found, freeifaddrs);
  std::vector<Interface> all;
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || !(entry->ifa_flags & IFF_UP)) continue;
    const Address address = Address::fromSockaddr(entry->ifa_addr);
    if (address.valid()) all.push_back({entry->ifa_name, address});
  }
  return all;
}

Result<Interface> localInterface() {
  TUTTI_ASSIGN(const std::vector<Interface> all, listInterfaces());
  const std::string list = params::getString("NCCL_SOCKET_IFNAME");
  const std::string familyText = params::getString("NCCL_SOCKET_FAMILY");
  const int family = familyText == "AF_INET" ? 4 : familyText == "AF_INET6" ? 6 : 0;
  std::vector<Interface> chosen = chooseInterfaces(all, list, family);
  if (!chosen.empty()) return chosen.front();
  std::string names;
  for (const Interface& entry : all)
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", entry.name, entry.address.text());
  if (all.empty()) names = "none";
  return makeError(
      Code::InvalidUsage,
      "no network interface fits NCCL_SOCKET_IFNAME='{}' NCCL_SOCKET_FAMILY='{}'; this host has: {}", list,
      familyText, names);
}

}  // namespace tutti::control
