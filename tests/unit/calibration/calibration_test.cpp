#include "calibration/calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/log.hpp"
#include "unit/core/scoped_env.hpp"

namespace tutti::calibration {
namespace {

using ::testing::HasSubstr;

Saved someSaved() {
  return {reference(), 1'700'000'000, 42};
}

Fingerprint machine() {
  return {"Some CPU; 2 CPUs; L2 1024K; Linux 6.1; library 100, format 1", 1024, 32768};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(CalibrationFile, RoundTrip) {
  Saved saved = someSaved();
  saved.values.oneWayNs = 1.0 / 3 + 50;
  saved.values.copyMemory = 0;
  const Result<Saved> back = parse(textOf(saved, machine()), machine(), "f");
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->values, saved.values);
  EXPECT_EQ(back->measuredAt, saved.measuredAt);
  EXPECT_EQ(back->tookMs, saved.tookMs);
}

TEST(CalibrationFile, AnyTruncationIsRefused) {
  const std::string text = textOf(someSaved(), machine());
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(parse(text.substr(0, size), machine(), "f").ok()) << size;
}

TEST(CalibrationFile, RefusesWhatDoesNotFit) {
  const std::string good = textOf(someSaved(), machine());
  struct {
    std::string text, says;
  } const cases[] = {
      {replaced(good, "format=1", "format=2"), "format 2"},
      {replaced(good, "format=1", "format=x"), "not a number"},
      {replaced(good, "2 CPUs", "4 CPUs"), "another machine"},
      {replaced(good, "copyL2=130", "copyL2=1e9"), "copyL2"},
      {replaced(good, "copyL2=130", "copyL2=-130"), "copyL2"},
      {replaced(good, "copyL2=130", "copyL2=nan"), "copyL2"},
      {replaced(good, "copyL2=130", "copyL2=0"), "copyL2"},
      {replaced(good, "copyL2=130", "copyL2=fast"), "not a number"},
      {replaced(good, "copyL2=130", "copyL2 130"), "NAME=VALUE"},
      {replaced(good, "copyL2=130\n", ""), "copyL2 is missing"},
      {good + "copyL2=131\n", "too soon"},
      {"", "format is missing"},
      {std::string(100, '\0'), "format is missing"},
  };
  for (const auto& c : cases) {
    const Result<Saved> read = parse(c.text, machine(), "some/file");
    ASSERT_FALSE(read.ok()) << c.says;
    EXPECT_THAT(read.error().message(), HasSubstr(c.says));
    EXPECT_THAT(read.error().message(), HasSubstr("some/file"));
  }
}

TEST(CalibrationFile, SavesAtomicallyAndMakesFolders) {
  ScopedFolder folder;
  const std::string path = folder.path("a/b/c.conf");
  EXPECT_EQ(load(path, machine()).lacks, Lacks::File);
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&] {
      for (int k = 0; k < 20; ++k) {
        EXPECT_TRUE(save(path, someSaved(), machine()).ok());
        EXPECT_EQ(load(path, machine()).lacks, Lacks::Nothing);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("a/b")))
    files += entry.is_regular_file();
  EXPECT_EQ(files, 1);
}

TEST(CalibrationFile, FoldersThatCannotBe) {
  ScopedFolder folder;
  folder.write("file", "x");
  EXPECT_FALSE(save(folder.path("file/c.conf"), someSaved(), machine()).ok());
  EXPECT_EQ(load(folder.path("file/c.conf"), machine()).lacks, Lacks::File);
  EXPECT_FALSE(save("/proc/nowhere/c.conf", someSaved(), machine()).ok());
  EXPECT_FALSE(save("", someSaved(), machine()).ok());
  EXPECT_EQ(load("", machine()).lacks, Lacks::File);
  EXPECT_EQ(load(folder.path(""), machine()).lacks, Lacks::Sense) << "a folder is no file";
  folder.write("large", std::string(1 << 20, '#'));
  EXPECT_EQ(load(folder.path("large"), machine()).lacks, Lacks::Sense);
}

TEST(CalibrationFile, Paths) {
  ScopedEnv env;
  env.unset("TUTTI_CALIBRATION_FILE");
  env.unset("TUTTI_CACHE_DIR");
  env.set("HOME", "/home/me");
  env.set("XDG_CACHE_HOME", "/cache");
  EXPECT_EQ(pathFor(machine()), "/cache/tutti/calibration-" + machine().hash() + ".conf");
  env.set("XDG_CACHE_HOME", "relative");
  EXPECT_EQ(pathFor(machine()), "/home/me/.cache/tutti/calibration-" + machine().hash() + ".conf");
  env.unset("HOME");
  EXPECT_EQ(pathFor(machine()), "");
  env.set("TUTTI_CACHE_DIR", "/here");
  EXPECT_EQ(pathFor(machine()), "/here/calibration-" + machine().hash() + ".conf");
  env.set("TUTTI_CALIBRATION_FILE", "/x.conf");
  EXPECT_EQ(pathFor(machine()), "/x.conf");
}

TEST(Fingerprint, TellsMachinesApart) {
  ScopedFolder folder;
  std::filesystem::create_directories(folder.path("proc"));
  std::filesystem::create_directories(folder.path("sys/devices/system/cpu/cpu0/cache/index0"));
  std::filesystem::create_directories(folder.path("sys/devices/system/cpu/cpu0/cache/index1"));
  folder.write("proc/cpuinfo",
               "processor : 0\nmodel name\t: Fine CPU\nmodel : 7\n\nprocessor : 1\nmodel : 8\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index0/level", "2\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index0/type", "Unified\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index0/size", "512K\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index1/level", "3\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index1/type", "Unified\n");
  folder.write("sys/devices/system/cpu/cpu0/cache/index1/size", "16384K\n");
  const Fingerprint found = readFingerprint(folder.path(""), "Linux 6.1", 2);
  EXPECT_THAT(found.text, HasSubstr("Fine CPU 7; 2 CPUs; L2 512K L3 16384K; Linux 6.1"));
  EXPECT_EQ(found.l2KiB, 512);
  EXPECT_EQ(found.l3KiB, 16384);
  EXPECT_NE(found.hash(), readFingerprint(folder.path(""), "Linux 6.2", 2).hash());
  EXPECT_NE(found.hash(), readFingerprint(folder.path(""), "Linux 6.1", 4).hash());
  EXPECT_EQ(readFingerprint(folder.path("none"), "Linux", 1).l2KiB, 0);
  EXPECT_FALSE(fingerprint().text.empty());
}

TEST(Values, TheReferenceChangesNothing) {
  const algos::Machine fitted;
  const algos::Machine same = applied(fitted, reference());
  EXPECT_DOUBLE_EQ(same.handoverUs, fitted.handoverUs);
  EXPECT_DOUBLE_EQ(same.copyGBps, fitted.copyGBps);
  EXPECT_DOUBLE_EQ(same.memoryFactor, fitted.memoryFactor);
  EXPECT_EQ(same.l2Bytes, fitted.l2Bytes);
  const algos::Machine unknown = applied(fitted, Values());
  EXPECT_DOUBLE_EQ(unknown.handoverUs, fitted.handoverUs);
  EXPECT_DOUBLE_EQ(unknown.l3Factor, fitted.l3Factor);
  EXPECT_TRUE(checkPlausible(reference()).ok());
}

TEST(Values, ScaleTheModel) {
  const algos::Machine fitted;
  Values far = reference();
  far.oneWayNs *= 4;
  far.copyL3 /= 2;
  far.l2KiB *= 2;
  const algos::Machine scaled = applied(fitted, far);
  EXPECT_DOUBLE_EQ(scaled.handoverUs, 4 * fitted.handoverUs);
  EXPECT_DOUBLE_EQ(scaled.l3Factor, 2 * fitted.l3Factor);
  EXPECT_DOUBLE_EQ(scaled.copyGBps, fitted.copyGBps);
  EXPECT_EQ(scaled.l2Bytes, 2 * fitted.l2Bytes);
}

TEST(Values, StreamingPaysWhereItIsMuchFaster) {
  Values v = reference();
  EXPECT_FALSE(streamingPays(Values()));
  v.plainGBps = 2;
  v.streamGBps = 9;
  EXPECT_TRUE(streamingPays(v));
  v.plainGBps = 9;
  EXPECT_FALSE(streamingPays(v));
}

/// On a machine that is busy there may be no result, but never one that no machine has.
TEST(Measure, GivesPlausibleValuesOrNone) {
  const Result<Values> values = measure();
  if (values.ok()) {
    EXPECT_TRUE(checkPlausible(*values).ok());
  } else {
    EXPECT_FALSE(values.error().message().empty());
  }
  EXPECT_FALSE(measure(0).ok()) << "without time there is no result";
}

class OfThisMachine : public ::testing::Test {
 protected:
  OfThisMachine() {
    env_.set("TUTTI_CALIBRATE", "1");
    env_.set("TUTTI_CALIBRATION_FILE", folder_.path("c.conf"));
    forget();
  }
  ~OfThisMachine() override { forget(); }

  ScopedFolder folder_;
  ScopedEnv env_;
};

TEST_F(OfThisMachine, IsReadFromTheFile) {
  Saved saved = someSaved();
  saved.values.oneWayNs = 123;
  folder_.write("c.conf", textOf(saved, fingerprint()));
  const auto known = ofThisMachine(false);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->values, saved.values);
  EXPECT_THAT(known->origin, HasSubstr("c.conf"));
  EXPECT_THAT(known->origin, HasSubstr("days"));
}

TEST_F(OfThisMachine, IsNotMeasuredUnasked) {
  EXPECT_FALSE(ofThisMachine(false).has_value());
  EXPECT_EQ(load(folder_.path("c.conf"), fingerprint()).lacks, Lacks::File);
  adopt(reference());
  ASSERT_TRUE(ofThisMachine(false).has_value());
}

TEST_F(OfThisMachine, CanBeTurnedOff) {
  folder_.write("c.conf", textOf(someSaved(), fingerprint()));
  env_.set("TUTTI_CALIBRATE", "0");
  EXPECT_FALSE(ofThisMachine(true).has_value());
}

TEST_F(OfThisMachine, BadFilesAreToldOfOnceAndWrittenAnew) {
  std::string text = textOf(someSaved(), fingerprint());
  folder_.write("c.conf", text.substr(0, text.size() / 2));
  env_.set("NCCL_DEBUG", "WARN");
  env_.set("NCCL_DEBUG_FILE", folder_.path("log"));
  log::reset();
  const auto known = ofThisMachine(true);
  ofThisMachine(true);
  env_.unset("NCCL_DEBUG_FILE");
  env_.set("NCCL_DEBUG", "NONE");
  log::reset();
  const std::string told = folder_.read("log");
  const size_t first = told.find("calibration ignored");
  ASSERT_NE(first, std::string::npos) << told;
  EXPECT_EQ(told.find("calibration ignored", first + 1), std::string::npos) << told;
  // A machine that is too busy to be measured leaves the file as it is.
  EXPECT_EQ(load(folder_.path("c.conf"), fingerprint()).lacks, known ? Lacks::Nothing : Lacks::Sense);
}

TEST_F(OfThisMachine, WorksWithoutAPlaceToKeepIt) {
  env_.set("TUTTI_CALIBRATION_FILE", "/proc/nowhere/c.conf");
  const Result<Made> made = calibrate(true, nullptr);
  if (!made.ok()) GTEST_SKIP() << made.error().message();
  EXPECT_TRUE(made->measured);
  EXPECT_FALSE(made->kept.ok());
}

}  // namespace
}  // namespace tutti::calibration
