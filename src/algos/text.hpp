// Text form of plans: what stands beside toText(Plan) and parsePlan() of plan.hpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "algos/plan.hpp"

namespace tutti::algos {

/// One step as it stands in a plan's text: "recvReduceSend input[3-1k mod 4] from 2 peerFirst to 0 x2".
/// Fields that a step does not use are not written.
std::string toText(const Step& step);

/// Plans one after the other, as `tutti plan --rank all` writes them. An error names the line and the reason.
Result<std::vector<Plan>> parsePlans(std::string_view text);

}  // namespace tutti::algos
