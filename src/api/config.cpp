#include "api/config.hpp"

#include <algorithm>
#include <cstring>

namespace tutti::api {
namespace {

constexpr unsigned int kOldestVersion = NCCL_VERSION(2, 14, 0);

/// Since when a member exists. Size alone does not tell: padding at the end of an older, shorter struct is
/// where a newer one has a member.
struct Member {
  size_t offset;
  size_t size;
  unsigned int since;
};
#define MEMBER(name, major, minor, patch)                                                       \
  Member {                                                                                      \
    offsetof(ncclConfig_t, name), sizeof(ncclConfig_t::name), NCCL_VERSION(major, minor, patch) \
  }

constexpr Member kConfigMembers[] = {
    MEMBER(blocking, 2, 14, 0),
    MEMBER(cgaClusterSize, 2, 17, 0),
    MEMBER(minCTAs, 2, 17, 0),
    MEMBER(maxCTAs, 2, 17, 0),
    MEMBER(netName, 2, 17, 0),
    MEMBER(splitShare, 2, 18, 0),
    MEMBER(trafficClass, 2, 25, 0),
    MEMBER(commName, 2, 27, 0),
    MEMBER(collnetEnable, 2, 27, 0),
    MEMBER(CTAPolicy, 2, 27, 0),
    MEMBER(shrinkShare, 2, 27, 0),
    MEMBER(nvlsCTAs, 2, 27, 0),
    MEMBER(nChannelsPerNetPeer, 2, 28, 0),
    MEMBER(nvlinkCentricSched, 2, 28, 0),
    MEMBER(graphUsageMode, 2, 29, 0),
    MEMBER(numRmaCtx, 2, 29, 0),
    MEMBER(maxP2pPeers, 2, 30, 0),
    MEMBER(graphStreamOrdering, 2, 30, 5),
    MEMBER(launchOrderImplicit, 2, 31, 0),
    MEMBER(numRmaSig, 2, 31, 0),
    MEMBER(rmaEagerInit, 2, 31, 0),
    MEMBER(hostCftMode, 2, 31, 0),
    MEMBER(nvlsHostMode, 2, 31, 0),
};
#undef MEMBER

bool isSet(int value) {
  return value != NCCL_CONFIG_UNDEF_INT;
}

/// An int member: unset, or between min and max.
Status checkRange(const char* member, int value, int min, int max) {
  if (!isSet(value) || (value >= min && value <= max)) return {};
  if (max == INT_MAX) {
    return makeError(Code::InvalidArgument,
                     "config.{} is {}; it must be at least {}, or NCCL_CONFIG_UNDEF_INT", member, value, min);
  }
  return makeError(Code::InvalidArgument, "config.{} is {}; it must be {} to {}, or NCCL_CONFIG_UNDEF_INT",
                   member, value, min, max);
}

Status checkChannels(int min, int max) {
  TUTTI_TRY(checkRange("minCTAs", min, 1, INT_MAX));
  TUTTI_TRY(checkRange("maxCTAs", max, 1, INT_MAX));
  if (isSet(min) && isSet(max) && min > max) {
    return makeError(Code::InvalidArgument, "config.minCTAs is {}, above config.maxCTAs, which is {}", min,
                     max);
  }
  return {};
}

std::optional<int> optionalInt(int value) {
  return isSet(value) ? std::optional(value) : std::nullopt;
}
std::optional<std::string> optionalText(const char* text) {
  return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
}
bool flag(int value, bool fallback) {
  return isSet(value) ? value != 0 : fallback;
}

constexpr int kAllCtaPolicies = NCCL_CTA_POLICY_EFFICIENCY | NCCL_CTA_POLICY_ZERO;
constexpr int kAllNvlsBits = ncclNvlsHostModeDisableTransport | ncclNvlsHostModeDisableSymmetricMultimem;
constexpr int kMaxChannelsPerNetPeer = 1024;

}  // namespace

Status checkHead(const void* head, unsigned int magic, const char* initializer) {
  StructHead copy;
  std::memcpy(&copy, head, sizeof(copy));
  if (copy.magic != magic) {
    return makeError(Code::InvalidArgument,
                     "the struct was not initialized with {} (magic is {:#x}, not {:#x})", initializer,
                     copy.magic, magic);
  }
  if (copy.size < sizeof(StructHead) || copy.version < kOldestVersion) {
    return makeError(Code::InvalidArgument, "the struct has size {} and version {}; {} sets both", copy.size,
                     copy.version, initializer);
  }
  return {};
}

Result<ncclConfig_t> widenConfig(const ncclConfig_t* config) {
  TUTTI_TRY(checkHead(config, NCCL_API_MAGIC, "NCCL_CONFIG_INITIALIZER"));
  StructHead head;
  std::memcpy(&head, config, sizeof(head));
  ncclConfig_t wide = NCCL_CONFIG_INITIALIZER;
  for (const Member& member : kConfigMembers) {
    if (head.version < member.since || member.offset + member.size > head.size) continue;
    std::memcpy(reinterpret_cast<char*>(&wide) + member.offset,
                reinterpret_cast<const char*>(config) + member.offset, member.size);
  }
  return wide;
}

Result<CommOptions> readConfig(const ncclConfig_t* config) {
  if (config == nullptr) return CommOptions{};
  TUTTI_ASSIGN(const ncclConfig_t wide, widenConfig(config));
  TUTTI_TRY(checkRange("blocking", wide.blocking, 0, 1));
  TUTTI_TRY(checkRange("cgaClusterSize", wide.cgaClusterSize, 0, INT_MAX));
  TUTTI_TRY(checkChannels(wide.minCTAs, wide.maxCTAs));
  TUTTI_TRY(checkRange("splitShare", wide.splitShare, 0, 1));
  TUTTI_TRY(checkRange("collnetEnable", wide.collnetEnable, 0, 1));
  TUTTI_TRY(checkRange("CTAPolicy", wide.CTAPolicy, 0, kAllCtaPolicies));
  TUTTI_TRY(checkRange("shrinkShare", wide.shrinkShare, 0, 1));
  TUTTI_TRY(checkRange("nvlsCTAs", wide.nvlsCTAs, 1, INT_MAX));
  TUTTI_TRY(checkRange("nChannelsPerNetPeer", wide.nChannelsPerNetPeer, 1, kMaxChannelsPerNetPeer));
  TUTTI_TRY(checkRange("nvlinkCentricSched", wide.nvlinkCentricSched, 0, 1));
  TUTTI_TRY(checkRange("graphUsageMode", wide.graphUsageMode, 0, 2));
  TUTTI_TRY(checkRange("numRmaCtx", wide.numRmaCtx, 0, INT_MAX));
  TUTTI_TRY(checkRange("maxP2pPeers", wide.maxP2pPeers, 1, INT_MAX));
  TUTTI_TRY(checkRange("graphStreamOrdering", wide.graphStreamOrdering, 0, 1));
  TUTTI_TRY(checkRange("launchOrderImplicit", wide.launchOrderImplicit, 0, 1));
  TUTTI_TRY(checkRange("numRmaSig", wide.numRmaSig, 0, INT_MAX));
  TUTTI_TRY(checkRange("rmaEagerInit", wide.rmaEagerInit, 0, 1));
  TUTTI_TRY(checkRange("hostCftMode", wide.hostCftMode, ncclHostCftEnable, ncclHostCftFallback));
  if (wide.nvlsHostMode != ncclNvlsHostModeDisable) {
    TUTTI_TRY(checkRange("nvlsHostMode", wide.nvlsHostMode, 0, kAllNvlsBits));
  }
  CommOptions options;
  options.blocking = flag(wide.blocking, true);
  options.minChannels = optionalInt(wide.minCTAs);
  options.maxChannels = optionalInt(wide.maxCTAs);
  options.netName = optionalText(wide.netName);
  options.commName = optionalText(wide.commName);
  options.splitShare = flag(wide.splitShare, false);
  options.shrinkShare = flag(wide.shrinkShare, false);
  options.trafficClass = optionalInt(wide.trafficClass);
  options.ctaPolicy = optionalInt(wide.CTAPolicy);
  options.channelsPerNetPeer = optionalInt(wide.nChannelsPerNetPeer);
  options.rmaContexts = optionalInt(wide.numRmaCtx);
  options.rmaSignals = optionalInt(wide.numRmaSig);
  if (isSet(wide.rmaEagerInit)) options.rmaEagerInit = wide.rmaEagerInit != 0;
  options.maxP2pPeers = optionalInt(wide.maxP2pPeers);
  return options;
}

Result<CallOptions> readCollConfig(const ncclCollConfig_t* config) {
  if (config == nullptr) return CallOptions{};
  TUTTI_TRY(checkHead(config, NCCL_API_MAGIC, "NCCL_COLLCONFIG_INITIALIZER"));
  StructHead head;
  std::memcpy(&head, config, sizeof(head));
  ncclCollConfig_t wide = NCCL_COLLCONFIG_INITIALIZER;
  // All members are of the first version, 2.32, so size alone tells what is there.
  std::memcpy(&wide, config, std::min(head.size, sizeof(wide)));
  TUTTI_TRY(checkChannels(wide.minCTAs, wide.maxCTAs));
  TUTTI_TRY(checkRange("nvlsCTAs", wide.nvlsCTAs, 1, INT_MAX));
  TUTTI_TRY(checkRange("cgaClusterSize", wide.cgaClusterSize, 0, INT_MAX));
  TUTTI_TRY(checkRange("forceAlgSelection", wide.forceAlgSelection, 0, 1));
  TUTTI_TRY(checkRange("CTAPolicy", wide.CTAPolicy, 0, kAllCtaPolicies));
  if (wide.launchCompletionEvent != nullptr) {
    return Error(Code::InvalidUsage,
                 "config.launchCompletionEvent needs a GPU; it must be NULL in host mode");
  }
  CallOptions options;
  options.minChannels = optionalInt(wide.minCTAs);
  options.maxChannels = optionalInt(wide.maxCTAs);
  options.algorithms = wide.algSelection != nullptr ? wide.algSelection : "";
  options.algorithmsForced = flag(wide.forceAlgSelection, true);
  options.ctaPolicy = optionalInt(wide.CTAPolicy);
  return options;
}

}  // namespace tutti::api
