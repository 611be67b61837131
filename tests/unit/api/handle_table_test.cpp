#include "api/handle_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>
#include <vector>

namespace tutti::api {
namespace {

struct Thing {
  explicit Thing(int n) : number(n) {}
  ~Thing() { alive.store(false); }
  int number;
  std::atomic<bool> alive{true};
};
using Table = HandleTable<Thing, 3, 4>;  // 8 slots, 16 generations

void* mustInsert(Table& table, int n) {
  Result<void*> handle = table.insert(std::make_unique<Thing>(n));
  EXPECT_TRUE(handle.ok());
  return handle.ok() ? *handle : nullptr;
}

std::unique_ptr<Thing> retire(Table& table, void* handle) {
  bool stuck = false;
  auto thing = table.retire(handle, Deadline::afterMs(5000), &stuck);
  EXPECT_FALSE(stuck);
  return thing;
}

TEST(HandleTable, FindsWhatWasInserted) {
  auto table = std::make_unique<Table>();
  void* a = mustInsert(*table, 1);
  void* b = mustInsert(*table, 2);
  EXPECT_NE(a, b);
  EXPECT_EQ(table->enter(a)->number, 1);
  EXPECT_EQ(table->enterShared(b)->number, 2);
  EXPECT_EQ(table->classify(a), HandleState::Live);
}

TEST(HandleTable, KnowsWhatIsNotAHandle) {
  auto table = std::make_unique<Table>();
  EXPECT_EQ(table->classify(nullptr), HandleState::Null);
  EXPECT_EQ(table->classify(reinterpret_cast<void*>(16)), HandleState::Foreign);
  EXPECT_FALSE(table->enter(reinterpret_cast<void*>(16)));
  void* a = mustInsert(*table, 1);
  int local = 0;
  EXPECT_EQ(table->classify(&local), HandleState::Foreign);
  EXPECT_FALSE(table->enter(&local));
  for (int delta : {-1, 1, 4, 8, 15}) EXPECT_FALSE(table->enter(static_cast<char*>(a) + delta)) << delta;
  EXPECT_FALSE(table->enter(static_cast<char*>(a) + 16));
  std::mt19937_64 random(7);
  for (int i = 0; i < 100000; ++i) {
    void* any = reinterpret_cast<void*>(random());
    if (any != a) {
      EXPECT_FALSE(table->enterShared(any));
    }
  }
}

TEST(HandleTable, RetiredHandlesStayDeadThroughReuse) {
  auto table = std::make_unique<Table>();
  std::set<void*> seen;
  void* first = mustInsert(*table, 0);
  seen.insert(first);
  EXPECT_EQ(retire(*table, first)->number, 0);
  EXPECT_EQ(retire(*table, first), nullptr);
  EXPECT_EQ(table->classify(first), HandleState::Stale);
  // All slots come round several times before a handle is given out again.
  for (int i = 1; i < 8 * 15; ++i) {
    void* handle = mustInsert(*table, i);
    EXPECT_TRUE(seen.insert(handle).second) << i;
    EXPECT_FALSE(table->enter(first));
    EXPECT_EQ(table->enter(handle)->number, i);
    EXPECT_NE(retire(*table, handle), nullptr);
  }
}

TEST(HandleTable, FullTableSaysSo) {
  auto table = std::make_unique<Table>();
  std::vector<void*> handles;
  for (int i = 0; i < 8; ++i) handles.push_back(mustInsert(*table, i));
  Result<void*> more = table->insert(std::make_unique<Thing>(9));
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code(), Code::SystemError);
  retire(*table, handles[3]);
  EXPECT_TRUE(table->insert(std::make_unique<Thing>(9)).ok());
}

TEST(HandleTable, RetireWaitsForPinsAndGivesUpAtTheDeadline) {
  auto table = std::make_unique<Table>();
  void* handle = mustInsert(*table, 5);
  {
    auto pin = table->enter(handle);
    bool stuck = false;
    EXPECT_EQ(table->retire(handle, Deadline::afterMs(20), &stuck), nullptr);
    EXPECT_TRUE(stuck);
    EXPECT_EQ(pin->number, 5);  // leaked, not freed under the pin
    EXPECT_TRUE(pin->alive.load());
    delete &*pin;
  }
}

TEST(HandleTable, NoPinOutlivesItsObject) {
  auto table = std::make_unique<Table>();
  for (int round = 0; round < 200; ++round) {
    void* handle = mustInsert(*table, round);
    std::atomic<int> entered{0};
    std::atomic<bool> bad{false};
    auto use = [&](bool shared) {
      for (;;) {
        auto pin = shared ? table->enterShared(handle) : table->enter(handle);
        if (!pin) return;
        if (!pin->alive.load() || pin->number != round) bad = true;
        ++entered;
      }
    };
    std::thread one(use, false), two(use, true), three(use, true);
    while (entered.load() < 3) std::this_thread::yield();
    auto thing = retire(*table, handle);
    ASSERT_NE(thing, nullptr);
    thing.reset();
    one.join();
    two.join();
    three.join();
    ASSERT_FALSE(bad.load());
  }
}

}  // namespace
}  // namespace tutti::api
