#include <algorithm>

#include "core/param.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {
namespace {

bool known(std::string_view name) {
  for (const params::Spec& spec : params::table())
    if (spec.name == name) return true;
  return false;
}

// A level parameter that is unset, or that says "by the machine", leaves Dis.
Status readLevel(std::string_view name, PathType& level) {
  if (!known(name) || !params::isSet(name)) return {};
  auto parsed = parseLevel(params::getString(name));
  if (!parsed.ok()) return std::move(parsed).error().context(std::string(name));
  level = *parsed;
  return {};
}

int64_t intOr(std::string_view name, int64_t fallback) {
  return known(name) && params::isSet(name) ? params::getInt(name) : fallback;
}

}  // namespace

Result<Settings> settingsFromParams() {
  Settings s;
  TUTTI_TRY(readLevel("NCCL_P2P_LEVEL", s.p2pLevel));
  TUTTI_TRY(readLevel("NCCL_NET_GDR_LEVEL", s.gdrLevel));
  if (intOr("NCCL_P2P_DISABLE", 0) == 1) s.p2pLevel = PathType::Loc;
  s.pxn = intOr("NCCL_PXN_DISABLE", 0) != 1;
  s.nvb = intOr("NCCL_NVB_DISABLE", 0) != 1;
  s.crossNic = static_cast<int>(intOr("NCCL_CROSS_NIC", 2));
  s.maxChannels = static_cast<int>(std::clamp<int64_t>(intOr("NCCL_MAX_NCHANNELS", s.maxChannels), 1, 64));
  s.minChannels =
      static_cast<int>(std::clamp<int64_t>(intOr("NCCL_MIN_NCHANNELS", s.minChannels), 1, s.maxChannels));
  s.channelsPerNetPeer = static_cast<int>(intOr("NCCL_NCHANNELS_PER_NET_PEER", 0));
  s.ignoreCpuAffinity = intOr("NCCL_IGNORE_CPU_AFFINITY", 0) == 1;
  return s;
}

}  // namespace tutti::topology
