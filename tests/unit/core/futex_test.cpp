#include "core/futex.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <thread>

#include "core/clock.hpp"

namespace tutti {
namespace {

constexpr int64_t kLongNs = 10'000'000'000;

TEST(Futex, ReturnsAtOnceWhereTheWordDiffers) {
  std::atomic<uint32_t> word{1};
  EXPECT_TRUE(futexWait(&word, 0, kLongNs));
  EXPECT_TRUE(futexWait(&word, 0, -1));
}

TEST(Futex, TimesOut) {
  std::atomic<uint32_t> word{0};
  EXPECT_FALSE(futexWait(&word, 0, 1'000'000));
  EXPECT_FALSE(futexWait(&word, 0, 0));
}

TEST(Futex, WakesThreads) {
  std::atomic<uint32_t> word{0};
  EXPECT_EQ(futexWakeAll(&word), 0);
  std::thread sleeper([&] {
    while (word.load(std::memory_order_acquire) == 0) EXPECT_TRUE(futexWait(&word, 0, kLongNs));
  });
  word.store(1, std::memory_order_release);
  futexWakeAll(&word);
  sleeper.join();
}

TEST(Futex, WakesProcessesThroughSharedMemory) {
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* word = new (memory) std::atomic<uint32_t>(0);
  const pid_t child = fork();
  if (child == 0) {
    const Deadline deadline = Deadline::afterMs(10'000);
    while (word->load(std::memory_order_acquire) == 0 && !deadline.expired()) futexWait(word, 0, kLongNs);
    _exit(word->load() == 1 ? 0 : 1);
  }
  ASSERT_GT(child, 0);
  word->store(1, std::memory_order_release);
  futexWake(word, 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  munmap(memory, 4096);
}

}  // namespace
}  // namespace tutti
