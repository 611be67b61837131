#include "api/missing_calls.hpp"

#include "api/guard.hpp"
#include "nccl_device.h"

namespace tutti::api {
namespace {

#define TUTTI_NAME(name, parameters) "nccl" #name,
constexpr std::string_view kNames[] = {TUTTI_MISSING_CALLS(TUTTI_NAME) TUTTI_MISSING_TEAM_CALLS(TUTTI_NAME)};
#undef TUTTI_NAME

Error missing() {
  return Error(Code::InvalidUsage, "this call is not available in this version of Tutti");
}

}  // namespace

std::span<const std::string_view> missingCalls() {
  return kNames;
}

}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

#define TUTTI_DEFINE(name, parameters)                                \
  TUTTI_API(ncclResult_t, name, parameters) {                         \
    return guard("nccl" #name, []() -> Status { return missing(); }); \
  }
TUTTI_MISSING_CALLS(TUTTI_DEFINE)
#undef TUTTI_DEFINE

#define TUTTI_DEFINE(name, parameters)      \
  TUTTI_API(ncclTeam_t, name, parameters) { \
    note("nccl" #name, missing());          \
    return ncclTeam_t{0, 0, 0};             \
  }
TUTTI_MISSING_TEAM_CALLS(TUTTI_DEFINE)
#undef TUTTI_DEFINE
