// The calls that exist, because NCCL has them, but do not work yet. One line makes a call exist, fail with
// ncclInvalidUsage and its name, and appear in tuttiMissingCalls() and the table of the README. To bring one
// to life, take its line away and define it with TUTTI_API.
#pragma once

#include <span>
#include <string_view>

// X(name without nccl, parameters)
#define TUTTI_MISSING_CALLS(X)                                                                               \
  X(DevCommCreate, (ncclComm_t, const ncclDevCommRequirements_t*, ncclDevComm_t*))                           \
  X(DevCommDestroy, (ncclComm_t, const ncclDevComm_t*))                                                      \
  X(GetLsaMultimemDevicePointer, (ncclWindow_t, size_t, void**))                                             \
  X(GetMultimemDevicePointer, (ncclWindow_t, size_t, ncclMultimemHandle_t, void**))                          \
  X(GetLsaDevicePointer, (ncclWindow_t, size_t, int, void**))                                                \
  X(GetPeerDevicePointer, (ncclWindow_t, size_t, int, void**))                                               \
  X(GetMultimemDeviceLeInfo, (ncclWindow_t, size_t, ncclCftLeId*, size_t*))                                  \
  X(GetCftDeviceLeInfo, (ncclWindow_t, size_t, int, ncclTeam_t, ncclCftLeId*, size_t*))                      \
  X(GetPeerDeviceLeInfo, (ncclWindow_t, size_t, int, ncclCftLeId*, size_t*))                                 \
  X(LsaBarrierCreateRequirement, (ncclTeam_t, int, ncclLsaBarrierHandle_t*, ncclDevResourceRequirements_t*)) \
  X(GinBarrierCreateRequirement,                                                                             \
    (ncclComm_t, ncclTeam_t, int, ncclGinBarrierHandle_t*, ncclDevResourceRequirements_t*))                  \
  X(LLA2ACreateRequirement, (int, int, ncclLLA2AHandle_t*, ncclDevResourceRequirements_t*))                  \
  X(GinOutboxCreateRequirement, (int, int, void*, void*))                                                    \
  X(GinInboxA2ACreateRequirement, (ncclTeam_t, int, int, void*, void*))

// The same for calls that return a team: they return {0, 0, 0}.
#define TUTTI_MISSING_TEAM_CALLS(X)           \
  X(TeamCft, (ncclComm_t, ncclCftTeamMode_t)) \
  X(TeamCftMultimem, (ncclComm_t))

namespace tutti::api {

/// Their names, with prefix: "ncclDevCommCreate".
std::span<const std::string_view> missingCalls();

}  // namespace tutti::api
