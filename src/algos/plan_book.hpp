// PlanBook: plans that a user wrote, and the calls that they serve.
//
// A file holds sets of plans, each one the plans of ranks 0 .. n-1 in that order. A set serves a call of the
// same collective, number of ranks and (where there is one) root, of a type of the same size, of any
// operator, and of at most as many elements as its header's count: the same steps, over as many rounds as the
// call needs. Of several sets that would do, the one with the smallest count is taken. The V forms are not
// served.
//
// Sets are proved when they are read, for the count of their header, out of place and in place; and again for
// the very count of a call before it is used first. What one rank finds, all find.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "algos/plan.hpp"

namespace tutti::algos {

class PlanBook {
 public:
  /// Reads and proves. Sets for other numbers of ranks are passed over. `limits`: what the communicator has;
  /// llBytes 0 where lines do not travel.
  static Result<PlanBook> read(std::string_view text, int nRanks, const Limits& limits);

  size_t sets() const { return sets_.size(); }
  /// Rank `rank`'s plan for the call; none where no set serves it; an error where the set that should does
  /// not hold for this count.
  Result<std::optional<Plan>> planFor(const Request& request, int rank) const;

 private:
  std::vector<std::vector<Plan>> sets_;  ///< smallest counts first
  Limits limits_;
};

}  // namespace tutti::algos
