#include "algos/plan_book.hpp"

#include <algorithm>

#include "algos/text.hpp"
#include "algos/verify.hpp"

namespace tutti::algos {
namespace {

// A second or so of playing: a user waits for it when a communicator is made.
constexpr uint64_t kMostPlays = 5'000'000;
constexpr uint64_t kMostCells = 20'000'000;

/// Cuts the plans of a file into sets of all ranks.
Result<std::vector<std::vector<Plan>>> setsOf(std::vector<Plan> plans) {
  std::vector<std::vector<Plan>> sets;
  for (Plan& plan : plans) {
    const bool starts = sets.empty() || static_cast<int>(sets.back().size()) == sets.back()[0].request.nRanks;
    if (starts) sets.emplace_back();
    std::vector<Plan>& set = sets.back();
    if (plan.rank != static_cast<int>(set.size()) ||
        (!set.empty() && plan.request.nRanks != set[0].request.nRanks)) {
      return makeError(Code::InvalidUsage,
                       "set {} of the file: rank {}'s plan for {} ranks stands where rank {}'s was due",
                       sets.size(), plan.rank, plan.request.nRanks, set.size());
    }
    set.push_back(std::move(plan));
  }
  const std::vector<Plan>& last = sets.back();
  if (static_cast<int>(last.size()) != last[0].request.nRanks) {
    return makeError(Code::InvalidUsage, "set {} of the file has plans for {} of its {} ranks", sets.size(),
                     last.size(), last[0].request.nRanks);
  }
  return sets;
}

Status prove(std::vector<Plan> set, const Request& request, const Limits& limits) {
  for (bool inPlace : {false, true}) {
    if (inPlace && request.collective == Collective::AllToAll) continue;
    for (Plan& plan : set) {
      plan.request = request;
      plan.request.inPlace = inPlace;
      if (plan.usesBoards && !limits.boards) {
        return Error(Code::InvalidUsage, "it uses boards, which these ranks do not have");
      }
      if (plan.protocol == Protocol::LL && limits.llBytes == 0) {
        return Error(Code::InvalidUsage, "its protocol is ll, which does not travel between hosts");
      }
    }
    VerifyOptions options;
    options.limits = limits;
    options.maxPlays = kMostPlays;
    options.maxCells = kMostCells;
    if (Status status = verifyPlans(set, options); !status.ok()) {
      return std::move(status).error().context(inPlace ? "in place" : "out of place");
    }
  }
  return {};
}

std::string titleOf(const Request& request) {
  return fmt::format("{} of {} elements on {} ranks", nameOf(request.collective), request.count,
                     request.nRanks);
}

}  // namespace

Result<PlanBook> PlanBook::read(std::string_view text, int nRanks, const Limits& limits) {
  TUTTI_ASSIGN(std::vector<Plan> plans, parsePlans(text));
  TUTTI_ASSIGN(std::vector<std::vector<Plan>> sets, setsOf(std::move(plans)));
  PlanBook book;
  book.limits_ = limits;
  for (size_t i = 0; i < sets.size(); ++i) {
    const Request& request = sets[i][0].request;
    if (request.nRanks != nRanks) continue;
    if (Status status = prove(sets[i], request, limits); !status.ok()) {
      return std::move(status).error().context(fmt::format("set {}, {}", i + 1, titleOf(request)));
    }
    book.sets_.push_back(std::move(sets[i]));
  }
  std::stable_sort(book.sets_.begin(), book.sets_.end(),
                   [](const auto& a, const auto& b) { return a[0].request.count < b[0].request.count; });
  return book;
}

Result<std::optional<Plan>> PlanBook::planFor(const Request& request, int rank) const {
  for (const std::vector<Plan>& set : sets_) {
    const Request& own = set[0].request;
    if (own.collective != request.collective || own.elementBytes() != request.elementBytes() ||
        own.count < request.count || (hasRoot(own.collective) && own.root != request.root)) {
      continue;
    }
    if (request.count != own.count) {
      if (Status status = prove(set, request, limits_); !status.ok()) {
        return std::move(status).error().context(
            fmt::format("the plans that were loaded for {} do not hold for {}", titleOf(own), request.count));
      }
    }
    Plan plan = set[rank];
    plan.request = request;
    return std::optional<Plan>(std::move(plan));
  }
  return std::optional<Plan>();
}

}  // namespace tutti::algos
