#include "api/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace tutti::api {
namespace {

using testing::HasSubstr;

/// A caller's struct as an older header had it: `size` bytes, all of them and some more behind set to
/// `filler`.
struct OldConfig {
  alignas(8) unsigned char bytes[2 * sizeof(ncclConfig_t)];

  OldConfig(size_t size, unsigned int version, unsigned char filler) {
    std::memset(bytes, filler, sizeof(bytes));
    StructHead head{size, NCCL_API_MAGIC, version};
    std::memcpy(bytes, &head, sizeof(head));
  }
  template <typename T>
  OldConfig& set(size_t offset, T value) {
    std::memcpy(bytes + offset, &value, sizeof(value));
    return *this;
  }
  OldConfig& setFirst(int count) {  // the int members of 2.17 before netName
    const size_t offsets[] = {16, 20, 24, 28};
    for (int i = 0; i < count; ++i) set(offsets[i], NCCL_CONFIG_UNDEF_INT);
    return *this;
  }
  const ncclConfig_t* get() const { return reinterpret_cast<const ncclConfig_t*>(bytes); }
};

TEST(Config, NullAndFreshAreDefaults) {
  Result<CommOptions> none = readConfig(nullptr);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, CommOptions());
  ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;
  Result<CommOptions> read = readConfig(&fresh);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, CommOptions());
}

TEST(Config, EveryMemberArrives) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.minCTAs = 2;
  config.maxCTAs = 8;
  config.netName = "Socket";
  config.commName = "mine";
  config.splitShare = 1;
  config.shrinkShare = 1;
  config.trafficClass = 5;
  config.CTAPolicy = NCCL_CTA_POLICY_ZERO;
  config.nChannelsPerNetPeer = 4;
  config.numRmaCtx = 3;
  config.numRmaSig = 7;
  config.rmaEagerInit = 1;
  config.maxP2pPeers = 9;
  config.nvlsHostMode = ncclNvlsHostModeDisable;
  config.hostCftMode = ncclHostCftDisable;
  Result<CommOptions> read = readConfig(&config);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_FALSE(read->blocking);
  EXPECT_EQ(read->minChannels, 2);
  EXPECT_EQ(read->maxChannels, 8);
  EXPECT_EQ(read->netName, "Socket");
  EXPECT_EQ(read->commName, "mine");
  EXPECT_TRUE(read->splitShare);
  EXPECT_TRUE(read->shrinkShare);
  EXPECT_EQ(read->trafficClass, 5);
  EXPECT_EQ(read->ctaPolicy, NCCL_CTA_POLICY_ZERO);
  EXPECT_EQ(read->channelsPerNetPeer, 4);
  EXPECT_EQ(read->rmaContexts, 3);
  EXPECT_EQ(read->rmaSignals, 7);
  EXPECT_EQ(read->rmaEagerInit, true);
  EXPECT_EQ(read->maxP2pPeers, 9);
}

// 2.14: blocking, then 4 bytes of padding where cgaClusterSize is now.
TEST(Config, Layout214) {
  OldConfig old(24, NCCL_VERSION(2, 14, 3), 0xff);
  old.set(16, 0);
  Result<CommOptions> read = readConfig(old.get());
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_FALSE(read->blocking);
  CommOptions expected;
  expected.blocking = false;
  EXPECT_EQ(*read, expected);
}

// 2.18: up to splitShare, then padding where trafficClass is now.
TEST(Config, Layout218) {
  OldConfig old(48, NCCL_VERSION(2, 18, 5), 0x11);
  old.setFirst(4).set(32, static_cast<const char*>("Socket")).set(40, 1);
  Result<CommOptions> read = readConfig(old.get());
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->netName, "Socket");
  EXPECT_TRUE(read->splitShare);
  EXPECT_FALSE(read->trafficClass.has_value());
  EXPECT_FALSE(read->commName.has_value());
}

// A struct that grew after 2.32: the new members are not looked at.
TEST(Config, NewerLayout) {
  struct {
    ncclConfig_t known = NCCL_CONFIG_INITIALIZER;
    int more[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  } wide;
  wide.known.size = sizeof(wide);
  wide.known.version = NCCL_VERSION(2, 40, 0);
  wide.known.minCTAs = 3;
  Result<CommOptions> read = readConfig(&wide.known);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->minChannels, 3);
}

TEST(Config, BadHeads) {
  ncclConfig_t zero{};
  Result<CommOptions> read = readConfig(&zero);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::InvalidArgument);
  EXPECT_THAT(read.error().message(), HasSubstr("NCCL_CONFIG_INITIALIZER"));
  ncclConfig_t small = NCCL_CONFIG_INITIALIZER;
  small.size = 4;
  EXPECT_FALSE(readConfig(&small).ok());
  ncclConfig_t old = NCCL_CONFIG_INITIALIZER;
  old.version = 1;
  EXPECT_FALSE(readConfig(&old).ok());
}

struct BadValue {
  const char* member;
  size_t offset;
  int value;
};

class ConfigRange : public testing::TestWithParam<BadValue> {};

TEST_P(ConfigRange, IsNamed) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  std::memcpy(reinterpret_cast<char*>(&config) + GetParam().offset, &GetParam().value, sizeof(int));
  Result<CommOptions> read = readConfig(&config);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::InvalidArgument);
  EXPECT_THAT(read.error().message(), HasSubstr(fmt::format("config.{}", GetParam().member)));
  EXPECT_THAT(read.error().message(), HasSubstr(fmt::format("{}", GetParam().value)));
}

#define BAD(member, value)                         \
  BadValue {                                       \
#member, offsetof(ncclConfig_t, member), value \
  }
INSTANTIATE_TEST_SUITE_P(
    All, ConfigRange,
    testing::Values(BAD(blocking, 2), BAD(blocking, -1), BAD(cgaClusterSize, -1), BAD(minCTAs, 0),
                    BAD(maxCTAs, 0), BAD(maxCTAs, -5), BAD(splitShare, 2), BAD(collnetEnable, 7),
                    BAD(CTAPolicy, 4), BAD(CTAPolicy, -1), BAD(shrinkShare, -1), BAD(nvlsCTAs, 0),
                    BAD(nChannelsPerNetPeer, 0), BAD(nChannelsPerNetPeer, 1025), BAD(nvlinkCentricSched, 2),
                    BAD(graphUsageMode, 3), BAD(numRmaCtx, -1), BAD(maxP2pPeers, 0),
                    BAD(graphStreamOrdering, 2), BAD(launchOrderImplicit, 2), BAD(numRmaSig, -1),
                    BAD(rmaEagerInit, 2), BAD(hostCftMode, 0), BAD(hostCftMode, 4), BAD(nvlsHostMode, 4)));
#undef BAD

TEST(Config, MinAboveMax) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.minCTAs = 9;
  EXPECT_TRUE(readConfig(&config).ok());
  config.maxCTAs = 8;
  Result<CommOptions> read = readConfig(&config);
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("config.minCTAs is 9, above config.maxCTAs, which is 8"));
}

TEST(CollConfig, Members) {
  ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER;
  ASSERT_TRUE(readCollConfig(&config).ok());
  EXPECT_EQ(*readCollConfig(&config), CallOptions());
  ncclConfigExt_t vendor{};
  vendor.key.vendorId = 77;
  config.ext = &vendor;
  config.algSelection = "ring";
  config.forceAlgSelection = 0;
  config.maxCTAs = 2;
  config.userProfilerTag = 5;
  Result<CallOptions> read = readCollConfig(&config);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->algorithms, "ring");
  EXPECT_FALSE(read->algorithmsForced);
  EXPECT_EQ(read->maxChannels, 2);
}

TEST(CollConfig, Errors) {
  ncclCollConfig_t zero{};
  EXPECT_THAT(readCollConfig(&zero).error().message(), HasSubstr("NCCL_COLLCONFIG_INITIALIZER"));
  ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER;
  config.forceAlgSelection = 3;
  EXPECT_THAT(readCollConfig(&config).error().message(), HasSubstr("forceAlgSelection"));
  config = NCCL_COLLCONFIG_INITIALIZER;
  config.launchCompletionEvent = reinterpret_cast<cudaEvent_t>(64);
  EXPECT_EQ(readCollConfig(&config).error().code(), Code::InvalidUsage);
}

}  // namespace
}  // namespace tutti::api
