// A plan as JSON, for programs that draw or count.
#pragma once

#include <nlohmann/json.hpp>

#include "algos/plan.hpp"

namespace tutti::tools {

nlohmann::json planToJson(const algos::Plan& plan);

}  // namespace tutti::tools
