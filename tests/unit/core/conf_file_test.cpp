#include "core/conf_file.hpp"

#include <gtest/gtest.h>

#include "unit/core/scoped_env.hpp"

namespace tutti {
namespace {

TEST(ParseConf, ReadsSettingsCommentsAndBlanks) {
  const auto file = parseConf("# comment\n\n NCCL_DEBUG = INFO \r\nA_1=x=y # z\nEMPTY=\nLAST=1", "f");
  ASSERT_TRUE(file.firstError.ok());
  ASSERT_EQ(file.entries.size(), 4u);
  EXPECT_EQ(file.entries[0].key, "NCCL_DEBUG");
  EXPECT_EQ(file.entries[0].value, "INFO");
  EXPECT_EQ(file.entries[0].origin, "f:3");
  EXPECT_EQ(file.entries[1].value, "x=y # z") << "only a line that begins with # is a comment";
  EXPECT_EQ(file.entries[2].value, "");
  EXPECT_EQ(file.entries[3].origin, "f:6");
  EXPECT_EQ(file.find("nccl_debug"), nullptr);
}

TEST(ParseConf, LastSettingWins) {
  const auto file = parseConf("A=1\nB=2\nA=3\n", "f");
  ASSERT_NE(file.find("A"), nullptr);
  EXPECT_EQ(file.find("A")->value, "3");
  EXPECT_EQ(file.find("A")->origin, "f:3");
}

TEST(ParseConf, NamesTheFirstBadLineAndKeepsTheRest) {
  for (const char* bad : {"no equals sign", "=value", "two words=1", "9X=1", "A-B=1", "export A=1"}) {
    const auto file = parseConf(std::string("GOOD=1\n") + bad + "\nworse\nALSO=2\n", "path/f.conf");
    ASSERT_FALSE(file.firstError.ok()) << bad;
    EXPECT_EQ(file.firstError.error().code(), Code::InvalidArgument);
    EXPECT_NE(file.firstError.error().message().find("path/f.conf:2:"), std::string::npos)
        << file.firstError.error().message();
    EXPECT_NE(file.firstError.error().message().find(bad), std::string::npos)
        << file.firstError.error().message();
    EXPECT_EQ(file.entries.size(), 2u);
  }
}

TEST(ParseConf, RefusesNullBytes) {
  EXPECT_FALSE(parseConf(std::string_view("A=1\0B=2", 7), "f").firstError.ok());
}

TEST(ReadConf, SaysWhichFileCannotBeRead) {
  auto missing = readConf("/nonexistent/nccl.conf");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Code::SystemError);
  EXPECT_EQ(missing.error().message(), "open /nonexistent/nccl.conf: No such file or directory");
  EXPECT_FALSE(readConf("/tmp").ok()) << "a folder";
}

TEST(ReadConf, RefusesHugeFiles) {
  ScopedFolder folder;
  auto huge = readConf(folder.write("huge", std::string((1 << 20) + 1, '\n')));
  ASSERT_FALSE(huge.ok());
  EXPECT_NE(huge.error().message().find("larger than 1M"), std::string::npos) << huge.error().message();
  EXPECT_TRUE(readConf(folder.write("large", std::string(1 << 20, '\n'))).ok());
}

}  // namespace
}  // namespace tutti
