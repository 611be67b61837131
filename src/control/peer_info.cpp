#include "control/peer_info.hpp"

#include <unistd.h>

#include "control/crypto.hpp"
#include "core/host.hpp"
#include "core/param.hpp"

namespace tutti::control {
namespace {

HostIdentity readHostIdentity() {
  HostIdentity identity;
  identity.name = hostName().substr(0, 64);
  const std::string forced = params::getString("NCCL_HOSTID");
  if (!forced.empty()) {
    identity.hash = hash64(bytesOf("id:" + forced));
    return identity;
  }
  const std::string& boot = bootId();
  char netns[64] = {};
  if (readlink("/proc/self/ns/net", netns, sizeof(netns) - 1) < 0) netns[0] = 0;
  // Without a boot id the name has to do.
  identity.hash = hash64(bytesOf(fmt::format("{}|{}", boot.empty() ? identity.name : boot, netns)));
  return identity;
}

}  // namespace

HostIdentity HostIdentity::local() {
  return readHostIdentity();
}

std::string PeerInfo::text() const {
  return fmt::format("{} pid {}", hostName, pid);
}

}  // namespace tutti::control
