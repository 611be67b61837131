// A plan as JSON, for programs that draw, count or write plans.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "algos/plan.hpp"
#include "core/result.hpp"

namespace tutti::tools {

nlohmann::json planToJson(const algos::Plan& plan);

/// Plans from the text form or from JSON: one plan, or a list of them as planToJson() writes it.
Result<std::vector<algos::Plan>> readPlans(std::string_view text);

}  // namespace tutti::tools
