/*
 * nccl_device.h: the host-visible part of NCCL 2.32.3's device interface.
 *
 * Types and calls that a host program uses to ask what a communicator can do on the device and to
 * prepare it. The device side itself (kernels' view of a communicator: barriers, pointers, GIN) is not
 * here: this version of Tutti has no device interface, ncclCommQueryProperties says so
 * (deviceApiSupport = false), and the calls that need one return ncclInvalidUsage. tuttiMissingCalls
 * lists them.
 *
 * C11 and C++14 or later. Conventions as in nccl.h.
 */
#ifndef NCCL_DEVICE_H_
#define NCCL_DEVICE_H_

#include <nccl.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------------------------
 * Types
 */
typedef struct ncclDevComm ncclDevComm_t; /* a communicator as kernels see it; incomplete here */

/* A subset of ranks that are evenly spaced: rank i of the team is `stride` world ranks after rank i-1. */
typedef struct ncclTeam {
  int nRanks, rank, stride;
} ncclTeam_t;

typedef uint32_t ncclDevResourceHandle;
typedef ncclDevResourceHandle ncclDevResourceHandle_t;
typedef uint32_t ncclGinSignal_t;
typedef uint32_t ncclGinCounter_t;
typedef uint32_t ncclCftLeId;
typedef ncclCftLeId ncclCftLeId_t;

typedef struct {
  uint64_t opaque[2];
} ncclGinRequest_t;

typedef struct ncclMultimemHandle {
  void* mcBasePtr;
} ncclMultimemHandle_t;

typedef struct ncclLsaBarrierHandle {
  ncclDevResourceHandle_t bufHandle;
  int nBarriers;
} ncclLsaBarrierHandle_t;

typedef struct ncclGinBarrierHandle {
  ncclGinSignal_t signal0;
  ncclDevResourceHandle_t unused;
} ncclGinBarrierHandle_t;

typedef struct ncclCftBarrierHandle {
  ncclDevResourceHandle_t bufHandle;
  int nBarriers;
} ncclCftBarrierHandle_t;

typedef struct ncclLLA2AHandle {
  ncclDevResourceHandle_t bufHandle;
  uint32_t nSlots;
} ncclLLA2AHandle_t;

typedef enum {
  NCCL_GIN_CONNECTION_NONE = 0,
  NCCL_GIN_CONNECTION_FULL = 1,
  NCCL_GIN_CONNECTION_RAIL = 2,
  NCCL_GIN_CONNECTION_CUSTOM_STRIDE = 3
} ncclGinConnectionType_t;

typedef enum {
  NCCL_GIN_TYPE_NONE = 0,
  NCCL_GIN_TYPE_PROXY = 2,
  NCCL_GIN_TYPE_GDAKI = 3,
  NCCL_GIN_TYPE_GPI = 4,
  NCCL_GIN_TYPE_EFA_GDA = 5,
  NCCL_GIN_MAX_TYPES = 6
} ncclGinType_t;

typedef enum {
  NCCL_CFT_TEAM_FLAT = 0,
  NCCL_CFT_TEAM_HIER_MULTIMEM = 1,
  NCCL_CFT_TEAM_HIER_LSA = 2
} ncclCftTeamMode_t;

typedef enum { NCCL_CFT_NONE = 0, NCCL_CFT = 1, NCCL_CFT_MULTIMEM = 2 } ncclCftCap_t;

#define NCCL_GIN_MAX_ACTIVE_BACKENDS 4

/* Resources that a device communicator is to have; lists are read by ncclDevCommCreate. */
typedef struct ncclDevResourceRequirements {
  struct ncclDevResourceRequirements* next;
  size_t bufferSize, bufferAlign;
  ncclDevResourceHandle_t* outBufferHandle;
  int ginSignalCount;
  int ginCounterCount;
  ncclGinSignal_t* outGinSignalStart;
  ncclGinCounter_t* outGinCounterStart;
} ncclDevResourceRequirements_t;

typedef struct ncclTeamRequirements {
  struct ncclTeamRequirements* next;
  ncclTeam_t team;
  bool multimem;
  ncclMultimemHandle_t* outMultimemHandle;
} ncclTeamRequirements_t;

/* A versioned struct, as those of nccl.h. */
typedef struct ncclDevCommRequirements {
  size_t size;
  unsigned int magic;
  unsigned int version;
  ncclDevResourceRequirements_t* resourceRequirementsList;
  ncclTeamRequirements_t* teamRequirementsList;
  bool lsaMultimem;
  int barrierCount;
  int lsaBarrierCount;
  int railGinBarrierCount;
  int lsaLLA2ABlockCount, lsaLLA2ASlotCount;
  bool ginForceEnable;
  int ginContextCount;
  int ginSignalCount;
  int ginCounterCount;
  ncclGinConnectionType_t ginConnectionType;
  bool ginExclusiveContexts;
  int ginQueueDepth;
  int ginTrafficClass;
  int worldGinBarrierCount;
  bool ginStrongSignalsRequired;
  bool ginVaSignalsRequired;
  int ginCustomStride;
  ncclGinType_t ginType;
  bool useRuntimeVersion;
  int cftCaps;
  int cftBarrierCount;
} ncclDevCommRequirements_t;

/* clang-format off */
#define NCCL_DEV_COMM_REQUIREMENTS_INITIALIZER { \
  sizeof(ncclDevCommRequirements_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, \
  /* the lists, lsaMultimem, the three barrier counts, lsaLLA2A block and slot count */ \
  NULL, NULL, false, 0, 0, 0, 0, 0, \
  /* ginForceEnable, ginContextCount, ginSignalCount, ginCounterCount, ginConnectionType */ \
  false, 4, 0, 0, NCCL_GIN_CONNECTION_NONE, \
  /* ginExclusiveContexts, ginQueueDepth, ginTrafficClass, worldGinBarrierCount */ \
  false, 0, NCCL_CONFIG_UNDEF_INT, 0, \
  /* ginStrongSignalsRequired, ginVaSignalsRequired, ginCustomStride, ginType */ \
  true, true, 1, NCCL_GIN_TYPE_NONE, \
  /* useRuntimeVersion, cftCaps, cftBarrierCount */ \
  false, NCCL_CFT_NONE, 0 \
}
/* clang-format on */

/* What a communicator is and can do. A versioned struct: fill it with the initializer before the query. */
typedef struct ncclCommProperties {
  size_t size;
  unsigned int magic;
  unsigned int version;
  int rank;
  int nRanks;
  int cudaDev;           /* as ncclCommCuDevice */
  int nvmlDev;           /* -1 in host mode */
  bool deviceApiSupport; /* always false in this version, as is all that follows from it */
  bool multimemSupport;
  ncclGinType_t ginType;
  int nLsaTeams;       /* number of teams whose members reach each other by load and store on the device */
  bool hostRmaSupport; /* ncclPutSignal, ncclSignal and ncclWaitSignal work */
  ncclGinType_t railedGinType;
  uint64_t commHash; /* the same on all ranks, different for every communicator */
  int ginMinStride;
  ncclGinConnectionType_t ginConnectionType;
  bool ginSupport[64];
  size_t devCommRuntimeVersionSize;
  bool cftSupport;
  bool cftMulticastSupport;
  bool cftCountedSupport;
} ncclCommProperties_t;

/* clang-format off */
#define NCCL_COMM_PROPERTIES_INITIALIZER { \
  sizeof(ncclCommProperties_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, \
  0, 0, 0, 0, false, false, NCCL_GIN_TYPE_NONE, 0, false, NCCL_GIN_TYPE_NONE, \
  0, 0, NCCL_GIN_CONNECTION_NONE, {false}, 0, false, false, false \
}
/* clang-format on */

/* ---------------------------------------------------------------------------------------------------------
 * Calls that have an answer without a device
 */

/* Fills as much of *props as props->size has room for. Any thread. */
ncclResult_t ncclCommQueryProperties(ncclComm_t comm, ncclCommProperties_t* props);

/*
 * Teams, seen from this rank: all ranks; those it reaches by load and store on the device (only
 * itself); those with its place in their load-store team (all ranks). A bad handle gives {0, 0, 0}.
 * Any thread.
 */
ncclTeam_t ncclTeamWorld(ncclComm_t comm);
ncclTeam_t ncclTeamLsa(ncclComm_t comm);
ncclTeam_t ncclTeamRail(ncclComm_t comm);

/* The world rank, or the place in the load-store team, of rank `rank` of `team`. -1 for a bad handle. */
int ncclTeamRankToWorld(ncclComm_t comm, ncclTeam_t team, int rank);
int ncclTeamRankToLsa(ncclComm_t comm, ncclTeam_t team, int rank);

/* Slots of 8 bytes that maxElts elements of at most maxEltSize bytes take in a low-latency all-to-all. */
int ncclLLA2ACalcSlots(int maxElts, int maxEltSize);

/* ---------------------------------------------------------------------------------------------------------
 * Calls that need the device interface: ncclInvalidUsage in this version, {0, 0, 0} where they return a team
 */
ncclResult_t ncclDevCommCreate(ncclComm_t comm, const ncclDevCommRequirements_t* reqs,
                               ncclDevComm_t* outDevComm);
ncclResult_t ncclDevCommDestroy(ncclComm_t comm, const ncclDevComm_t* devComm);

ncclResult_t ncclGetLsaMultimemDevicePointer(ncclWindow_t window, size_t offset, void** outPtr);
ncclResult_t ncclGetMultimemDevicePointer(ncclWindow_t window, size_t offset, ncclMultimemHandle_t multimem,
                                          void** outPtr);
ncclResult_t ncclGetLsaDevicePointer(ncclWindow_t window, size_t offset, int lsaRank, void** outPtr);
ncclResult_t ncclGetPeerDevicePointer(ncclWindow_t window, size_t offset, int peer, void** outPtr);
ncclResult_t ncclGetMultimemDeviceLeInfo(ncclWindow_t window, size_t offset, ncclCftLeId* leId,
                                         size_t* leOffset);
ncclResult_t ncclGetCftDeviceLeInfo(ncclWindow_t window, size_t offset, int peerCft, ncclTeam_t cftTeam,
                                    ncclCftLeId* leId, size_t* leOffset);
ncclResult_t ncclGetPeerDeviceLeInfo(ncclWindow_t window, size_t offset, int peerWorld, ncclCftLeId* leId,
                                     size_t* leOffset);

#ifdef __cplusplus
ncclTeam_t ncclTeamCft(ncclComm_t comm, ncclCftTeamMode_t mode = NCCL_CFT_TEAM_FLAT);
#else
ncclTeam_t ncclTeamCft(ncclComm_t comm, ncclCftTeamMode_t mode);
#endif
ncclTeam_t ncclTeamCftMultimem(ncclComm_t comm);

ncclResult_t ncclLsaBarrierCreateRequirement(ncclTeam_t team, int nBarriers,
                                             ncclLsaBarrierHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq);
ncclResult_t ncclGinBarrierCreateRequirement(ncclComm_t comm, ncclTeam_t team, int nBarriers,
                                             ncclGinBarrierHandle_t* outHandle,
                                             ncclDevResourceRequirements_t* outReq);
ncclResult_t ncclLLA2ACreateRequirement(int nBlocks, int nSlots, ncclLLA2AHandle_t* outHandle,
                                        ncclDevResourceRequirements_t* outReq);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* NCCL_DEVICE_H_ */
