#include "core/param.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "unit/core/scoped_env.hpp"

namespace tutti::params {
namespace {

using testing::HasSubstr;

/// No configuration file but those of the test. /etc/nccl.conf cannot be faked: a machine that has one may
/// set what it likes except the variables below.
class ParamTest : public testing::Test {
 protected:
  void SetUp() override {
    env_.set("HOME", folder_.path("home"));
    std::filesystem::create_directory(folder_.path("home"));
    for (const Spec& spec : table()) env_.unset(std::string(spec.name));
    params::reload();
  }
  void setConf(const std::string& text) { env_.set("NCCL_CONF_FILE", folder_.write("named.conf", text)); }
  void setHomeConf(const std::string& text) {
    folder_.write("home/.nccl.conf", text);
    params::reload();
  }
  static std::string errorOf(std::string_view name) {
    auto value = get(name);
    if (value.ok()) return "";
    EXPECT_EQ(value.error().code(), Code::InvalidArgument);
    return value.error().message();
  }

  ScopedFolder folder_;
  ScopedEnv env_;
};

TEST_F(ParamTest, TableIsSound) {
  std::set<std::string_view> names;
  for (const Spec& spec : table()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name << " is there twice";
    EXPECT_TRUE(spec.name.starts_with("NCCL_") || spec.name.starts_with("TUTTI_")) << spec.name;
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_TRUE(spec.help.ends_with('.')) << spec.name << ": help is a sentence";
    EXPECT_LE(spec.min, spec.max) << spec.name;
    if (spec.type == Type::Enum) {
      EXPECT_NE(spec.choices.find('|'), std::string_view::npos) << spec.name;
    }
    auto fallback = parse(spec, spec.fallback);
    EXPECT_TRUE(fallback.ok()) << spec.name << ": " << (fallback.ok() ? "" : fallback.error().message());
    EXPECT_FALSE(whatItTakes(spec).empty()) << spec.name;
    EXPECT_EQ(find(spec.name), &spec);
  }
  for (const Spec& spec : table())
    EXPECT_EQ(names.count(spec.alias), 0u) << spec.alias << " has a row of its own";
}

TEST_F(ParamTest, UnsetGivesTheDefault) {
  auto value = get("NCCL_BUFFSIZE");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->number, 4 << 20);
  EXPECT_EQ(value->text, "4M");
  EXPECT_EQ(value->source, Source::Default);
  EXPECT_FALSE(isSet("NCCL_BUFFSIZE"));
  EXPECT_EQ(getInt("TUTTI_SPIN_US"), -1) << "auto";
  EXPECT_EQ(getInt("TUTTI_CMA_THRESHOLD"), -1) << "off";
  EXPECT_EQ(getString("TUTTI_TRANSPORT"), "auto");
  EXPECT_EQ(getString("NCCL_SOCKET_FAMILY"), "");
  EXPECT_TRUE(getBool("TUTTI_CHECK"));
  EXPECT_TRUE(checkAll().ok());
}

TEST_F(ParamTest, EnvironmentSets) {
  env_.set("NCCL_BUFFSIZE", "8M");
  env_.set("TUTTI_TRANSPORT", "TCP");
  env_.set("NCCL_SHM_DISABLE", "yes");
  env_.set("TUTTI_CMA_THRESHOLD", "OFF");
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 8 << 20);
  EXPECT_EQ(getString("TUTTI_TRANSPORT"), "tcp") << "as spelled in the table";
  EXPECT_EQ(get("TUTTI_TRANSPORT")->number, 4);
  EXPECT_TRUE(getBool("NCCL_SHM_DISABLE"));
  EXPECT_EQ(getInt("TUTTI_CMA_THRESHOLD"), -1);
  EXPECT_EQ(get("NCCL_BUFFSIZE")->source, Source::Environment);
  EXPECT_TRUE(isSet("NCCL_BUFFSIZE"));
  EXPECT_TRUE(checkAll().ok());
}

TEST_F(ParamTest, EmptyCountsAsUnset) {
  env_.set("NCCL_BUFFSIZE", "");
  env_.set("NCCL_DEBUG", "");
  EXPECT_FALSE(isSet("NCCL_BUFFSIZE"));
  EXPECT_EQ(getString("NCCL_DEBUG"), "NONE");
  EXPECT_TRUE(checkAll().ok());
}

TEST_F(ParamTest, SourcesInOrder) {
  setHomeConf("NCCL_BUFFSIZE=1M\nNCCL_CROSS_NIC=0\n");
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 1 << 20);
  EXPECT_EQ(get("NCCL_BUFFSIZE")->source, Source::UserConfFile);
  EXPECT_EQ(get("NCCL_BUFFSIZE")->origin, folder_.path("home/.nccl.conf") + ":1");

  setConf("# named\nNCCL_BUFFSIZE=2M\n");
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 2 << 20);
  EXPECT_EQ(get("NCCL_BUFFSIZE")->origin, folder_.path("named.conf") + ":2");
  EXPECT_EQ(getInt("NCCL_CROSS_NIC"), 2) << "a named file stands instead of ~/.nccl.conf, not beside it";

  env_.set("NCCL_BUFFSIZE", "3M");
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 3 << 20);
  EXPECT_EQ(get("NCCL_BUFFSIZE")->source, Source::Environment);
}

TEST_F(ParamTest, AliasCountsWhereTheNameIsUnset) {
  env_.set("NCCL_MIN_NRINGS", "3");
  EXPECT_EQ(getInt("NCCL_MIN_NCHANNELS"), 3);
  env_.set("NCCL_MIN_NCHANNELS", "5");
  EXPECT_EQ(getInt("NCCL_MIN_NCHANNELS"), 5);
  env_.set("NCCL_MAX_NRINGS", "many");
  EXPECT_THAT(errorOf("NCCL_MAX_NCHANNELS"), HasSubstr("NCCL_MAX_NRINGS=\"many\""))
      << "the name that the user wrote";
}

TEST_F(ParamTest, ErrorsNameVariableTextAndWhatItTakes) {
  env_.set("NCCL_BUFFSIZE", "big");
  EXPECT_EQ(errorOf("NCCL_BUFFSIZE"),
            "NCCL_BUFFSIZE=\"big\": it takes a size in bytes (K, M, G may follow) from 4K to 4G");
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 4 << 20) << "the shorthand falls back";
  EXPECT_TRUE(isSet("NCCL_BUFFSIZE"));
  auto all = checkAll();
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(all.error().message(), HasSubstr("NCCL_BUFFSIZE"));
  env_.set("NCCL_BUFFSIZE", "1");
  EXPECT_NE(errorOf("NCCL_BUFFSIZE"), "") << "below the range";
  env_.set("NCCL_BUFFSIZE", "5G");
  EXPECT_NE(errorOf("NCCL_BUFFSIZE"), "") << "above the range";
  env_.unset("NCCL_BUFFSIZE");

  env_.set("TUTTI_CHECK", "maybe");
  EXPECT_EQ(errorOf("TUTTI_CHECK"), "TUTTI_CHECK=\"maybe\": it takes 0 or 1");
  env_.set("TUTTI_TRANSPORT", "smoke");
  EXPECT_EQ(errorOf("TUTTI_TRANSPORT"),
            "TUTTI_TRANSPORT=\"smoke\": it takes one of auto, thread, shm, cma, tcp");
  env_.set("TUTTI_FIFO_DEPTH", "65");
  EXPECT_EQ(errorOf("TUTTI_FIFO_DEPTH"), "TUTTI_FIFO_DEPTH=\"65\": it takes a whole number from 2 to 64");
  env_.set("TUTTI_SPIN_US", "-7");
  EXPECT_EQ(errorOf("TUTTI_SPIN_US"),
            "TUTTI_SPIN_US=\"-7\": it takes auto, or a whole number from 0 to 1000000");
  env_.set("NCCL_DEBUG_SUBSYS", "INIT,NETS");
  EXPECT_THAT(errorOf("NCCL_DEBUG_SUBSYS"),
              HasSubstr("NCCL_DEBUG_SUBSYS=\"INIT,NETS\": \"NETS\" is none of INIT"));
  env_.set("NCCL_DEBUG", "LOUD");
  EXPECT_THAT(errorOf("NCCL_DEBUG"), HasSubstr("WARN"));
}

TEST_F(ParamTest, ErrorsInFilesNameFileAndLine) {
  setConf("\nTUTTI_FIFO_DEPTH=0\n");
  EXPECT_EQ(errorOf("TUTTI_FIFO_DEPTH"),
            folder_.path("named.conf") + ":2: TUTTI_FIFO_DEPTH=\"0\": it takes a whole number from 2 to 64");
  setConf("this is no setting\n");
  auto all = checkAll();
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(all.error().message(), HasSubstr("named.conf:1: expected NAME=VALUE"));
}

TEST_F(ParamTest, MissingNamedFileIsNoError) {
  env_.set("NCCL_CONF_FILE", folder_.path("not-there.conf"));
  EXPECT_TRUE(checkAll().ok());
  EXPECT_EQ(getInt("NCCL_BUFFSIZE"), 4 << 20);
}

TEST_F(ParamTest, NumbersAreKeptAndTextsAreReadAgain) {
  setenv("NCCL_CROSS_NIC", "1", 1);
  setenv("NCCL_ALGO", "ring", 1);
  EXPECT_EQ(getInt("NCCL_CROSS_NIC"), 1);
  EXPECT_EQ(getString("NCCL_ALGO"), "ring");
  setenv("NCCL_CROSS_NIC", "0", 1);
  setenv("NCCL_ALGO", "tree", 1);
  EXPECT_EQ(getInt("NCCL_CROSS_NIC"), 1);
  EXPECT_EQ(getString("NCCL_ALGO"), "tree");
  reload();
  EXPECT_EQ(getInt("NCCL_CROSS_NIC"), 0);
}

TEST_F(ParamTest, UnknownNameIsOurBug) {
  auto value = get("NCCL_NO_SUCH_THING");
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().code(), Code::InternalError);
  EXPECT_EQ(find("NCCL_NO_SUCH_THING"), nullptr);
}

TEST_F(ParamTest, ReadersAndReloadMayMeet) {
  env_.set("TUTTI_FIFO_DEPTH", "8");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int round = 0; round < 200; ++round) {
        if (i == 0) reload();
        EXPECT_EQ(getInt("TUTTI_FIFO_DEPTH"), 8);
        EXPECT_EQ(getString("TUTTI_TRANSPORT"), "auto");
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(ParamParse, BoolTakesWordsAndNumbers) {
  const Spec spec{"TUTTI_X", Type::Bool, "0"};
  for (const char* text : {"1", "true", "YES", "on", "2", "-1"})
    EXPECT_EQ(parse(spec, text)->number, 1) << text;
  for (const char* text : {"0", "False", "no", "OFF", "0x0"}) EXPECT_EQ(parse(spec, text)->number, 0) << text;
  for (const char* text : {"", "2x", "y", "truth"}) EXPECT_FALSE(parse(spec, text).ok()) << text;
}

TEST(ParamParse, OpenRanges) {
  const Spec from{"TUTTI_X", Type::Int, "0", 0};
  EXPECT_EQ(whatItTakes(from), "a whole number from 0 up");
  EXPECT_FALSE(parse(from, "-1").ok());
  const Spec any{"TUTTI_X", Type::Int, "0"};
  EXPECT_EQ(whatItTakes(any), "a whole number");
  EXPECT_EQ(parse(any, "-5")->number, -5);
  const Spec size{"TUTTI_X", Type::Bytes, "-2", -2, 1 << 20};
  EXPECT_EQ(whatItTakes(size), "a size in bytes (K, M, G may follow) from -2 to 1M");
  EXPECT_EQ(parse(size, "-2")->number, -2);
}

TEST(ParamNames, AreWords) {
  EXPECT_EQ(nameOf(Type::Bytes), "BYTES");
  EXPECT_EQ(nameOf(Source::UserConfFile), "user file");
}

}  // namespace
}  // namespace tutti::params
