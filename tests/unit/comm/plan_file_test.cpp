// TUTTI_PLAN_FILE: what it loads, what it refuses; and that the engine plays rightly whatever the verifier
// admits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "algos/plan_book.hpp"
#include "algos/verify_matrix.hpp"
#include "comm/comm.hpp"
#include "core/param.hpp"
#include "unit/algos/mutants.hpp"

namespace tutti::comm {
namespace {

using algos::Collective;
using algos::Plan;
using ::testing::HasSubstr;

/// A file for the length of a test, named by TUTTI_PLAN_FILE.
class PlanFile {
 public:
  explicit PlanFile(const std::string& text) : path_("/tmp/tutti-plans-" + std::to_string(getpid())) {
    std::ofstream(path_) << text;
    setenv("TUTTI_PLAN_FILE", path_.c_str(), 1);
    params::reload();
  }
  ~PlanFile() {
    unsetenv("TUTTI_PLAN_FILE");
    params::reload();
    unlink(path_.c_str());
  }
  PlanFile(const PlanFile&) = delete;
  PlanFile& operator=(const PlanFile&) = delete;

 private:
  std::string path_;
};

algos::Limits limits(int n) {
  algos::Limits limits;
  limits.boards = true;
  limits.ranksPerHost = n == 4 ? 2 : 0;
  limits.forest = algos::matrixLimits(n).forest;
  return limits;
}

algos::Request requestFor(Collective collective, int n, size_t count) {
  algos::Request request;
  request.collective = collective;
  request.nRanks = n;
  request.count = count;
  request.type = DataType::Int64;
  return request;
}

std::vector<Plan> plansFor(const algos::Request& request, algos::Algorithm algorithm,
                           algos::Protocol protocol = algos::Protocol::Simple) {
  auto plans = algos::buildPlans(request, algorithm, protocol, limits(request.nRanks));
  return plans.ok() ? std::move(*plans) : std::vector<Plan>();
}

std::string textOf(const std::vector<Plan>& plans) {
  std::string text;
  for (const Plan& plan : plans) text += algos::toText(plan);
  return text;
}

int64_t inputAt(int rank, size_t i) {
  return static_cast<int64_t>(i * 7 + 3) * (rank + 1) + static_cast<int64_t>(rank) * 1'000'003;
}

/// One call on all ranks, out of place; "" or what is wrong with the result.
std::string playOnce(std::vector<NewComm>& comms, Collective collective, size_t count) {
  const int n = static_cast<int>(comms.size());
  const size_t all = count * static_cast<size_t>(n);
  const bool wideIn = collective == Collective::ReduceScatter || collective == Collective::AllToAll ||
                      collective == Collective::Scatter;
  std::vector<std::vector<int64_t>> in(n), out(n, std::vector<int64_t>(all, -1));
  std::vector<std::string> wrong(n);
  std::vector<std::thread> threads;
  for (int r = 0; r < n; ++r) {
    for (size_t i = 0; i < (wideIn ? all : count); ++i) in[r].push_back(inputAt(r, i));
    threads.emplace_back([&, r] {
      Status status = comm::collective(
          *comms[r], {collective, in[r].data(), out[r].data(), count, DataType::Int64, 0, 0}, nullptr);
      if (!status.ok()) wrong[r] = status.error().message();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int r = 0; r < n; ++r) {
    if (!wrong[r].empty()) return wrong[r];
    auto sum = [&](size_t i) {
      int64_t total = 0;
      for (int from = 0; from < n; ++from) total += inputAt(from, i);
      return total;
    };
    auto expect = [&](size_t i, int64_t value) {
      if (out[r][i] != value && wrong[r].empty())
        wrong[r] = fmt::format("rank {}: element {} is wrong", r, i);
    };
    for (size_t i = 0; i < count; ++i) {
      const size_t own = static_cast<size_t>(r) * count + i;
      if (collective == Collective::AllReduce) expect(i, sum(i));
      if (collective == Collective::Reduce && r == 0) expect(i, sum(i));
      if (collective == Collective::ReduceScatter) expect(i, sum(own));
      if (collective == Collective::Broadcast) expect(i, inputAt(0, i));
      if (collective == Collective::Scatter) expect(i, inputAt(0, own));
      for (int from = 0; from < n; ++from) {
        const size_t at = static_cast<size_t>(from) * count + i;
        if (collective == Collective::AllGather || (collective == Collective::Gather && r == 0))
          expect(at, inputAt(from, i));
        if (collective == Collective::AllToAll) expect(at, inputAt(from, own));
      }
    }
    if (!wrong[r].empty()) return wrong[r];
  }
  return "";
}

std::vector<NewComm> commsOf(int n) {
  auto comms = createAll(std::vector<int>(n));
  EXPECT_TRUE(comms.ok()) << comms.error().message();
  return comms.ok() ? std::move(*comms) : std::vector<NewComm>();
}

TEST(PlanFileTest, ServesCallsUpToItsCount) {
  // Whatever the selector would take: the plan that is played shows in its algorithm.
  PlanFile file(textOf(plansFor(requestFor(Collective::AllReduce, 3, 5000), algos::Algorithm::Swing)));
  auto comms = commsOf(3);
  for (size_t count : {1u, 64u, 4999u, 5000u, 5001u})
    EXPECT_EQ(playOnce(comms, Collective::AllReduce, count), "");
  EXPECT_EQ(playOnce(comms, Collective::Broadcast, 100), "");
  for (auto& comm : comms) EXPECT_TRUE(close(*comm).ok());
}

TEST(PlanFileTest, RefusesWhatIsNotRightAndSaysWhy) {
  auto plans = plansFor(requestFor(Collective::AllReduce, 2, 1000), algos::Algorithm::Ring);
  plans[1].lanes[0].steps.pop_back();
  {
    PlanFile file(textOf(plans));
    auto comms = createAll(std::vector<int>(2));
    ASSERT_FALSE(comms.ok());
    EXPECT_THAT(comms.error().message(), HasSubstr("set 1, AllReduce of 1000 elements on 2 ranks"));
    EXPECT_THAT(comms.error().message(), HasSubstr("TUTTI_PLAN_FILE"));
  }
  plans.pop_back();
  {
    PlanFile file(textOf(plans));
    auto comms = createAll(std::vector<int>(2));
    ASSERT_FALSE(comms.ok());
    EXPECT_THAT(comms.error().message(), HasSubstr("1 of its 2 ranks"));
  }
  PlanFile file("plan Nonsense");
  auto comms = createAll(std::vector<int>(2));
  ASSERT_FALSE(comms.ok());
  EXPECT_THAT(comms.error().message(), HasSubstr("line 1"));
}

/// Plans with one or two changes that the verifier admits all the same (in and out of place), each for a
/// count of its own: the engine plays them and must come to the same numbers.
TEST(PlanFileTest, EngineDoesWhatTheVerifierAdmits) {
  std::mt19937 random(7);
  int played = 0;
  for (int n : {2, 3, 4}) {
    for (int c = 0; c <= static_cast<int>(Collective::Scatter); ++c) {
      const auto collective = static_cast<Collective>(c);
      std::string text;
      size_t count = 600;
      std::vector<std::string> what;
      for (int a = 0; a < algos::kAlgorithmCount; ++a) {
        for (auto protocol : {algos::Protocol::Simple, algos::Protocol::LL}) {
          for (int attempt = 0; attempt < 50; ++attempt) {
            auto plans =
                plansFor(requestFor(collective, n, count), static_cast<algos::Algorithm>(a), protocol);
            if (plans.empty()) break;
            std::string said;
            for (unsigned faults = 1 + random() % 2; faults > 0; --faults) {
              auto mutants = algos::testing::mutantsOf(plans, static_cast<int>(random() % n));
              if (mutants.empty()) break;
              auto& mutant = mutants[random() % mutants.size()];
              said += mutant.what + "; ";
              plans = std::move(mutant.plans);
            }
            auto book = algos::PlanBook::read(textOf(plans), n, limits(n));
            if (!book.ok()) continue;
            text += textOf(plans);
            what.push_back(said);
            count += 3;
          }
        }
      }
      if (what.empty()) continue;
      PlanFile file(text);
      auto comms = commsOf(n);
      ASSERT_FALSE(comms.empty());
      for (size_t i = 0; i < what.size(); ++i) {
        EXPECT_EQ(playOnce(comms, collective, 600 + 3 * i), "") << what[i];
        ++played;
      }
      for (auto& comm : comms) EXPECT_TRUE(close(*comm).ok());
    }
  }
  printf("%d admitted mutants played\n", played);
  EXPECT_GT(played, 400);
}

}  // namespace
}  // namespace tutti::comm
