// The host side of the device interface, as far as it has an answer without one. The rest is in
// missing_calls.hpp.
#include "nccl_device.h"

#include <algorithm>
#include <cstring>

#include "api/config.hpp"
#include "api/guard.hpp"

namespace tutti::api {
namespace {

/// body: (const Communicator&) -> T, for calls that return something else than a result.
template <typename T, typename Body>
T ask(const char* call, ncclComm_t comm, T ifBad, Body&& body) {
  T answer = ifBad;
  guardQuery(call, comm, [&](Communicator& c) -> Status {
    answer = body(c);
    return {};
  });
  return answer;
}

constexpr ncclTeam_t kNoTeam{0, 0, 0};

ncclTeam_t world(const Communicator& comm) {
  return {comm::sizeOf(comm), comm::rankOf(comm), 1};
}
/// No rank reaches another's memory from a device: every load-store team is one rank.
constexpr ncclTeam_t kLsaTeam{1, 0, 1};

}  // namespace
}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, CommQueryProperties, (ncclComm_t comm, ncclCommProperties_t* props)) {
  return guardQuery("ncclCommQueryProperties", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(props);
    Status head = checkHead(props, NCCL_API_MAGIC, "NCCL_COMM_PROPERTIES_INITIALIZER");
    if (!head.ok()) return Error(Code::InvalidUsage, head.error().message());
    ncclCommProperties_t full{};
    full.rank = comm::rankOf(c);
    full.nRanks = comm::sizeOf(c);
    full.cudaDev = comm::deviceOf(c);
    full.nvmlDev = -1;
    full.nLsaTeams = full.nRanks;
    full.hostRmaSupport = true;
    full.commHash = comm::hashOf(c);
    constexpr size_t kHead = sizeof(StructHead);
    const size_t end = std::min(props->size, sizeof(full));
    std::memcpy(reinterpret_cast<char*>(props) + kHead, reinterpret_cast<const char*>(&full) + kHead,
                end - kHead);
    return {};
  });
}

TUTTI_API(ncclTeam_t, TeamWorld, (ncclComm_t comm)) {
  return ask("ncclTeamWorld", comm, kNoTeam, world);
}

TUTTI_API(ncclTeam_t, TeamLsa, (ncclComm_t comm)) {
  return ask("ncclTeamLsa", comm, kNoTeam, [](const Communicator&) { return kLsaTeam; });
}

TUTTI_API(ncclTeam_t, TeamRail, (ncclComm_t comm)) {
  return ask("ncclTeamRail", comm, kNoTeam, world);
}

TUTTI_API(int, TeamRankToWorld, (ncclComm_t comm, ncclTeam_t team, int rank)) {
  return ask("ncclTeamRankToWorld", comm, -1,
             [&](const Communicator& c) { return comm::rankOf(c) + (rank - team.rank) * team.stride; });
}

TUTTI_API(int, TeamRankToLsa, (ncclComm_t comm, ncclTeam_t team, int rank)) {
  return ask("ncclTeamRankToLsa", comm, -1,
             [&](const Communicator&) { return kLsaTeam.rank + (rank - team.rank) * team.stride; });
}

TUTTI_API(int, LLA2ACalcSlots, (int maxElts, int maxEltSize)) {
  constexpr int kSlotBytes = 8;
  return maxElts * ((maxEltSize + kSlotBytes - 1) / kSlotBytes);
}
