// result.hpp, dtype.hpp, clock.hpp, unique_fd.hpp.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "core/clock.hpp"
#include "core/dtype.hpp"
#include "core/result.hpp"
#include "core/unique_fd.hpp"

namespace tutti {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return makeError(Code::InvalidArgument, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  TUTTI_ASSIGN(const int once, half(number));
  TUTTI_ASSIGN(int twice, half(once));
  return twice;
}

Status check(int number) {
  TUTTI_TRY(half(number));
  return {};
}

TEST(Result, CarriesValuesAndErrors) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_TRUE(check(4).ok());
  auto failed = quarter(6);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), Code::InvalidArgument);
  EXPECT_EQ(failed.error().message(), "3 is odd");
  EXPECT_EQ(std::move(failed).error().context("rank 3").message(), "rank 3: 3 is odd");
  EXPECT_FALSE(check(5));
}

TEST(Result, MovesWhatCannotBeCopied) {
  auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  auto use = [&]() -> Result<int> {
    TUTTI_ASSIGN(auto pointer, make());
    return *pointer;
  };
  EXPECT_EQ(*use(), 5);
}

TEST(Result, SystemErrorsEndInTheSystemsText) {
  const Error error = makeSystemError(ENOENT, "open {}", "/x");
  EXPECT_EQ(error.code(), Code::SystemError);
  EXPECT_EQ(error.message(), "open /x: No such file or directory");
}

TEST(DataTypes, NamesAndSizes) {
  size_t sum = 0;
  for (int i = 0; i < kDataTypeCount; ++i) {
    const auto type = static_cast<DataType>(i);
    EXPECT_EQ(dataTypeFromName(nameOf(type)), type);
    sum += sizeOf(type);
  }
  EXPECT_EQ(sum, 1u + 1 + 4 + 4 + 8 + 8 + 2 + 4 + 8 + 2 + 1 + 1);
  EXPECT_EQ(sizeOf(DataType::Bfloat16), 2u);
  EXPECT_EQ(dataTypeFromName("float"), DataType::Float32);
  EXPECT_EQ(dataTypeFromName("Float"), std::nullopt);
}

TEST(ReduceOps, Names) {
  for (int i = 0; i < kReduceOpCount; ++i) {
    const auto op = static_cast<ReduceOp>(i);
    EXPECT_EQ(reduceOpFromName(nameOf(op)), op);
  }
  EXPECT_EQ(reduceOpFromName("xor"), std::nullopt);
}

TEST(Clock, DeadlinesCountDown) {
  EXPECT_FALSE(Deadline::never().expired());
  EXPECT_EQ(Deadline::never().remainingMs(50), 50);
  EXPECT_TRUE(Deadline::afterMs(0).expired());
  EXPECT_TRUE(Deadline::afterMs(-5).expired());
  EXPECT_EQ(Deadline::afterMs(-5).remainingMs(50), 0);
  EXPECT_FALSE(Deadline::afterMs(3'600'000).expired());
  EXPECT_EQ(Deadline::afterMs(3'600'000).remainingMs(50), 50);
}

TEST(UniqueFd, ClosesOnce) {
  int number = -1;
  {
    UniqueFd first(open("/dev/null", O_RDONLY));
    ASSERT_TRUE(first.valid());
    number = first.get();
    UniqueFd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from UniqueFd is empty
    EXPECT_EQ(second.get(), number);
    first = std::move(second);
    EXPECT_EQ(first.get(), number);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST(UniqueFd, ReleaseGivesAway) {
  UniqueFd fd(open("/dev/null", O_RDONLY));
  const int number = fd.release();
  EXPECT_FALSE(fd);
  fd.reset();
  EXPECT_NE(fcntl(number, F_GETFD), -1);
  fd.reset(number);
}

}  // namespace
}  // namespace tutti
