/*
 * nccl.h: the C interface of Tutti, compatible with NCCL 2.32.3.
 *
 * Names, numbers, signatures and struct layouts are NCCL's, so a program compiled against either header runs
 * on either library. The descriptions are of what Tutti does. What NCCL does not have is in tutti/tutti.h.
 *
 * Compiles as C11 and as C++14 or later, with or without the CUDA toolkit on the machine (see "CUDA types").
 *
 * What holds for every call, unless its own text says otherwise:
 *
 * - Result: ncclSuccess, or the kind of error; ncclGetLastError(comm) then tells the whole story in
 *   words. A call that fails its argument checks changed nothing. A call that Tutti does not have yet
 *   returns ncclInvalidUsage and its name is in ncclGetLastError; it never pretends to have worked.
 * - Counts are in elements of `datatype`, never in bytes. Offsets and what is called "size" are in bytes.
 *   A count of 0 is allowed everywhere; buffers may then be NULL. Every buffer must be smaller than 2^63
 *   bytes.
 * - Buffers are plain host memory with any alignment. Memory from ncclMemAlloc is faster between
 *   processes of one host. Buffers belong to the call until it is complete.
 * - In place means exactly the buffer relation named at the call. Any other overlap of input and
 *   output is an error of the caller that the library does not look for.
 * - Stream NULL: the call (inside a group: the outermost ncclGroupEnd) returns when the result of this
 *   rank is complete. A stream of tuttiStreamCreate, cast to cudaStream_t: the call returns when the
 *   work is queued; work on one stream runs in order. Any other value: ncclInvalidArgument.
 * - Nonblocking: with config.blocking = 0, a call that would wait returns ncclInProgress;
 *   ncclCommGetAsyncError tells when it is done and how it went. Until then only
 *   ncclCommGetAsyncError, ncclCommAbort and ncclCommDestroy may be called on that communicator. While it
 *   is being made, other calls return ncclInvalidArgument; later ones are queued in order.
 * - Threads: different communicators may be used by different threads at the same time. One
 *   communicator: one thread at a time, except ncclCommAbort, ncclCommRevoke, ncclCommGetAsyncError,
 *   ncclGetLastError and the queries (Count, UserRank, CuDevice, QueryProperties), which any thread
 *   may call at any time.
 * - Order: all ranks must make matching calls on a communicator in the same order. A mismatch (which
 *   call, count, datatype, op, root) is reported to all ranks as ncclInvalidUsage naming who differs
 *   and how.
 *   Send and Recv match when their bytes are equal, none included: an empty Send needs its Recv.
 * - Failure: a rank that dies makes the calls of its peers return ncclRemoteError and name it.
 */
#ifndef NCCL_H_
#define NCCL_H_

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------------------------------------------------
 * CUDA types
 *
 * Where the CUDA toolkit's headers are found they are used, as NCCL's header does. Otherwise, or when
 * TUTTI_NO_CUDA_HEADERS is defined, the two handle types are declared here exactly as CUDA declares them:
 * including <cuda_runtime.h> afterwards is fine.
 */
#if !defined(TUTTI_NO_CUDA_HEADERS) && defined(__has_include)
#if __has_include(<cuda_runtime.h>)
#define TUTTI_HAVE_CUDA_HEADERS 1
#endif
#endif

#ifdef TUTTI_HAVE_CUDA_HEADERS
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#if CUDART_VERSION >= 11000
#include <cuda_bf16.h>
#endif
#if defined(__cplusplus) && CUDART_VERSION >= 11080
#include <cuda_fp8.h>
#endif
#else
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
#endif

/* ---------------------------------------------------------------------------------------------------------
 * Version of this interface. ncclGetVersion reports the library's.
 */
#define NCCL_MAJOR 2
#define NCCL_MINOR 32
#define NCCL_PATCH 3
#define NCCL_SUFFIX ""

/* Up to 2.8 a version was coded as XYZZ, since 2.9 as XYYZZ. */
#define NCCL_VERSION(X, Y, Z) (((X) <= 2 && (Y) <= 8) ? (X)*1000 + (Y)*100 + (Z) : (X)*10000 + (Y)*100 + (Z))
#define NCCL_VERSION_CODE 23203

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------------------------
 * Handles
 */
typedef struct ncclComm* ncclComm_t;            /* one rank's end of a communicator */
typedef struct ncclWindow_vidmem* ncclWindow_t; /* memory that peers may reach, see ncclCommWindowRegister */

#define NCCL_COMM_NULL NULL

/* ---------------------------------------------------------------------------------------------------------
 * Results
 */
typedef enum {
  ncclSuccess = 0,            /* done, or queued on the stream */
  ncclUnhandledCudaError = 1, /* a CUDA call failed */
  ncclSystemError = 2,        /* the operating system refused something: memory, sockets, files */
  ncclInternalError = 3,      /* a bug in the library, or memory that was overwritten */
  ncclInvalidArgument = 4,    /* one argument is wrong by itself */
  ncclInvalidUsage = 5,       /* arguments or calls do not fit together, or the call is not available */
  ncclRemoteError = 6,        /* a peer failed, died, or is out of reach */
  ncclInProgress = 7,         /* not an error: a nonblocking communicator is still working on it */
  ncclTimeout = 8,            /* a deadline passed */
  ncclNumResults = 9
} ncclResult_t;

/* One phrase per result code; never NULL. The string is static. Any thread. */
const char* ncclGetErrorString(ncclResult_t result);

/*
 * The last error in words: which rank, which peer, which step, what to try. comm NULL: the last error of the
 * calling thread; otherwise the last error on that communicator, from whichever thread. "" when there was
 * none. The text stays valid until the calling thread's next call of ncclGetLastError.
 */
const char* ncclGetLastError(ncclComm_t comm);

/* ---------------------------------------------------------------------------------------------------------
 * Constants and small types
 */
#define NCCL_CONFIG_UNDEF_INT INT_MIN /* "not set, the library decides" */
#define NCCL_CONFIG_UNDEF_PTR NULL
#define NCCL_UNDEF_FLOAT (-1.0f)
#define NCCL_API_MAGIC 0xcafebeef /* set by the initializers */

/* What one rank makes (ncclGetUniqueId) and all ranks must hold to meet. Opaque bytes; carry them by any
 * channel. */
#define NCCL_UNIQUE_ID_BYTES 128
typedef struct {
  char internal[NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;

/* Element types. */
typedef enum {
  ncclInt8 = 0,
  ncclChar = ncclInt8,
  ncclUint8 = 1,
  ncclInt32 = 2,
  ncclInt = ncclInt32,
  ncclUint32 = 3,
  ncclInt64 = 4,
  ncclUint64 = 5,
  ncclFloat16 = 6, /* IEEE binary16 */
  ncclHalf = ncclFloat16,
  ncclFloat32 = 7,
  ncclFloat = ncclFloat32,
  ncclFloat64 = 8,
  ncclDouble = ncclFloat64,
  ncclBfloat16 = 9,
  ncclFloat8e4m3 = 10, /* OCP FP8 E4M3: no infinity */
  ncclFloat8e5m2 = 11, /* OCP FP8 E5M2 */
  ncclNumTypes = 12
} ncclDataType_t;

/*
 * Reduction operators. Handles from ncclRedOpCreatePreMulSum lie between ncclNumOps and ncclMaxRedOp.
 *
 * Every rank that receives a result receives the same bits. The order in which contributions are combined
 * depends on the algorithm and the number of ranks.
 * - Integers wrap around modulo 2^bits. Their average is the wrapped sum divided by the number of ranks,
 *   truncated toward zero.
 * - fp16, bf16 and both fp8 types are combined in float32 and rounded to nearest even whenever a partial
 *   result is passed on. fp8 saturates to the largest finite value; fp16 and bf16 overflow to infinity.
 * - The average of fp16 and fp8 sums inputs that were multiplied by 1/n; that of the other floating types
 *   divides the sum by n.
 * - Max and Min: a number wins over NaN, and -0 is below +0.
 */
typedef enum { ncclNumOps_dummy = 5 } ncclRedOp_dummy_t;
typedef enum {
  ncclSum = 0,
  ncclProd = 1,
  ncclMax = 2,
  ncclMin = 3,
  ncclAvg = 4,
  ncclNumOps = 5, /* number of built-in operators */
  ncclMaxRedOp =
      0x7fffffff >> (8 * (4 - (int)sizeof(ncclRedOp_dummy_t))) /* keeps the enum's size what it was */
} ncclRedOp_t;

/* Where the scalar of an operator lives, and when it is read. */
typedef enum {
  ncclScalarDevice = 0, /* read when a collective that uses the operator runs; must stay valid until then */
  ncclScalarHostImmediate = 1 /* read before ncclRedOpCreatePreMulSum returns */
} ncclScalarResidence_t;

/* ---------------------------------------------------------------------------------------------------------
 * Configuration structs
 *
 * All begin with size, magic and version, which only the initializer macro may set. They grow at the end: a
 * library reads the first `size` bytes and takes defaults for what an older caller does not have. A wrong
 * magic is ncclInvalidArgument. Strings and lists that they point to need to live only until the call
 * returns.
 */

/* config.CTAPolicy: how much of the processor a communicator may take. Bits, may be combined. */
#define NCCL_CTA_POLICY_DEFAULT 0x00
#define NCCL_CTA_POLICY_EFFICIENCY 0x01
#define NCCL_CTA_POLICY_ZERO 0x02

/* config.hostCftMode. GPU fabrics only. */
typedef enum {
  ncclHostCftDefault = NCCL_CONFIG_UNDEF_INT,
  ncclHostCftEnable = 1,
  ncclHostCftDisable = 2,
  ncclHostCftFallback = 3
} ncclHostCftMode_t;

/* config.nvlsHostMode: what of NVLink SHARP not to use; the Disable... bits may be combined. GPU fabrics
 * only. */
typedef enum {
  ncclNvlsHostModeDefault = NCCL_CONFIG_UNDEF_INT,
  ncclNvlsHostModeEnable = 0,
  ncclNvlsHostModeDisableTransport = 1,
  ncclNvlsHostModeDisableSymmetricMultimem = 2,
  ncclNvlsHostModeDisable = INT_MAX
} ncclNvlsHostMode_t;

/*
 * Options of a communicator. Every rank must give the same values, except for those marked (local). In host
 * mode a "CTA" is a channel: one lane of a plan. Options marked (GPU) are checked for range and otherwise
 * without effect there.
 */
typedef struct ncclConfig_v23100 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  int blocking;            /* 1 (default): calls wait; 0: they return ncclInProgress */
  int cgaClusterSize;      /* at least 0: thread blocks per cluster (GPU) */
  int minCTAs;             /* at least 1: channels to use at least */
  int maxCTAs;             /* at least 1, at least minCTAs: channels to use at most */
  const char* netName;     /* transport between hosts, by name: "Socket" */
  int splitShare;          /* 1: a communicator split off this one may share its resources */
  int trafficClass;        /* class of service for network packets */
  const char* commName;    /* name shown in the log (local) */
  int collnetEnable;       /* 1: in-network reduction (GPU) */
  int CTAPolicy;           /* NCCL_CTA_POLICY_... */
  int shrinkShare;         /* 1: a communicator shrunk from this one may share its resources */
  int nvlsCTAs;            /* at least 1 (GPU) */
  int nChannelsPerNetPeer; /* 1..1024, rounded up to a power of two: channels per peer on another host in
                              AlltoAll, Send/Recv */
  int nvlinkCentricSched;  /* 0 or 1 (GPU) */
  int graphUsageMode;      /* 0..2: mixing of CUDA graphs and plain launches (GPU) */
  int numRmaCtx;           /* at least 0: contexts for ncclPutSignal, ncclSignal, ncclWaitSignal */
  int maxP2pPeers;         /* at least 1: peers that this rank will ever talk to by Send/Recv */
  int graphStreamOrdering; /* 0 or 1 (GPU) */
  int launchOrderImplicit; /* 0 or 1 (GPU) */
  int numRmaSig;           /* at least 0: signals per context for ncclSignal and friends */
  int rmaEagerInit;        /* 0 or 1: 1 connects one-sided peers at creation, 0 at first use */
  int hostCftMode;         /* ncclHostCftMode_t (GPU) */
  int nvlsHostMode;        /* ncclNvlsHostMode_t (GPU) */
} ncclConfig_t;

/* clang-format off */
#define NCCL_CONFIG_INITIALIZER { \
  sizeof(ncclConfig_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, \
  /* blocking, cgaClusterSize, minCTAs, maxCTAs */ \
  NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, \
  /* netName, splitShare, trafficClass, commName */ \
  NCCL_CONFIG_UNDEF_PTR, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_PTR, \
  /* collnetEnable, CTAPolicy, shrinkShare, nvlsCTAs */ \
  NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, \
  /* nChannelsPerNetPeer, nvlinkCentricSched, graphUsageMode, numRmaCtx */ \
  NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, \
  /* maxP2pPeers, graphStreamOrdering, launchOrderImplicit, numRmaSig */ \
  NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, \
  /* rmaEagerInit, hostCftMode, nvlsHostMode */ \
  NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT \
}
/* clang-format on */

/* One vendor's option for one collective; a list without cycles or repeated keys. Tutti knows none and skips
 * them all. */
typedef struct ncclConfigExt {
  struct ncclConfigExt* next; /* NULL ends the list */
  struct {
    int vendorId; /* 1 .. 2^24-1, chosen by the vendor */
    int optionId; /* meaning is the vendor's */
  } key;
  union {
    int i;
    const char* s;
    void* raw;
  } val;
} ncclConfigExt_t;

/* Options of one collective, for the ...Config calls. The same on every rank. */
typedef struct ncclCollConfig_v23200 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  ncclConfigExt_t* ext;
  int minCTAs;              /* as in ncclConfig_t, for this call */
  int maxCTAs;              /* not above the communicator's */
  int nvlsCTAs;             /* (GPU) */
  int cgaClusterSize;       /* (GPU) one value within a group */
  const char* algSelection; /* which algorithms may be used, in NCCL_ALGO's notation; NULL or "": any */
  int forceAlgSelection;    /* 1 (default): a selection that cannot be met is an error; 0: it is a wish */
  int CTAPolicy;            /* NCCL_CTA_POLICY_...; unset: the communicator's */
  uint64_t userProfilerTag; /* carried to profilers; the top bit is reserved */
  cudaEvent_t launchCompletionEvent; /* recorded when the kernel has started (GPU); NULL in host mode */
} ncclCollConfig_t;

/* clang-format off */
#define NCCL_COLLCONFIG_INITIALIZER { \
  sizeof(ncclCollConfig_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, \
  /* ext, minCTAs, maxCTAs, nvlsCTAs, cgaClusterSize */ \
  NCCL_CONFIG_UNDEF_PTR, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, NCCL_CONFIG_UNDEF_INT, \
  /* algSelection, forceAlgSelection, CTAPolicy */ \
  NCCL_CONFIG_UNDEF_PTR, 1, NCCL_CONFIG_UNDEF_INT, \
  /* userProfilerTag, launchCompletionEvent */ \
  0, NCCL_CONFIG_UNDEF_PTR \
}
/* clang-format on */

/* What ncclGroupSimulateEnd fills in. */
typedef struct ncclSimInfo_v22200 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  float estimatedTime; /* microseconds that the group would take */
} ncclSimInfo_t;

/* clang-format off */
#define NCCL_SIM_INFO_INITIALIZER { sizeof(ncclSimInfo_t), 0x74685283, NCCL_VERSION_CODE, NCCL_UNDEF_FLOAT }
/* clang-format on */

/* Encryption of TCP connections between hosts. */
typedef enum { NCCL_ENCRYPTION_MODE_NONE = 0, NCCL_ENCRYPTION_MODE_PSK = 1 } ncclEncryptionMode_t;

typedef struct ncclEncryptionConfig_v23200 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  int mode;        /* ncclEncryptionMode_t */
  const char* psk; /* the pre-shared key, for NCCL_ENCRYPTION_MODE_PSK */
} ncclEncryptionConfig_t;

/* clang-format off */
#define NCCL_ENCRYPTION_CONFIG_INITIALIZER { \
  sizeof(ncclEncryptionConfig_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, NCCL_ENCRYPTION_MODE_NONE, NCCL_CONFIG_UNDEF_PTR \
}
/* clang-format on */

/* ---------------------------------------------------------------------------------------------------------
 * The library as a whole
 */

/* *version = the NCCL version that this library stands in for: 23203. Any thread. */
ncclResult_t ncclGetVersion(int* version);

/*
 * Sets how later communicators encrypt their connections between hosts. NCCL_ENCRYPTION_MODE_NONE succeeds;
 * NCCL_ENCRYPTION_MODE_PSK is ncclInvalidUsage in this version.
 */
ncclResult_t ncclSetEncryption(const ncclEncryptionConfig_t* config);

/* Reads the variables of the log (NCCL_DEBUG...) again. As in NCCL, callable only where NCCL_OS_LINUX is
 * defined. */
#ifdef NCCL_OS_LINUX
#if defined(__GNUC__)
#define TUTTI_NCCL_DEPRECATED __attribute__((deprecated("not part of the NCCL interface; will be removed")))
#else
#define TUTTI_NCCL_DEPRECATED
#endif
TUTTI_NCCL_DEPRECATED void ncclResetDebugInit(void);
TUTTI_NCCL_DEPRECATED void pncclResetDebugInit(void);
#else
#define ncclResetDebugInit()
#define pncclResetDebugInit()
#endif

/* ---------------------------------------------------------------------------------------------------------
 * Memory
 */

/*
 * *ptr = size bytes (rounded up to pages, page-aligned, zeroed) that peers on this host can read and write
 * directly: sends and reductions from and to it need fewer copies. A size of 0 gives NULL. Free with
 * ncclMemFree, after every communicator call and registration that uses it. Any thread.
 */
ncclResult_t ncclMemAlloc(void** ptr, size_t size);

/* Frees memory of ncclMemAlloc. NULL is allowed; any other pointer is ncclInvalidArgument. Any thread. */
ncclResult_t ncclMemFree(void* ptr);

/* ---------------------------------------------------------------------------------------------------------
 * Communicators: making and ending them
 *
 * The calls that make a communicator wait for all ranks of it, and may be grouped (ncclGroupStart ..
 * ncclGroupEnd) to make several from one thread. They give up after a deadline and name the ranks that did
 * not come. The new handle is written only on success or ncclInProgress; otherwise *comm = NULL.
 */

/* Makes an id. Call on one rank, give the 128 bytes to the others. Starts the meeting point in this process:
 * keep it alive. */
ncclResult_t ncclGetUniqueId(ncclUniqueId* uniqueId);

/* Joins as rank `rank` (0 .. nranks-1, each exactly once) the communicator that commId stands for. */
ncclResult_t ncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank);

/* The same, with options. config NULL: all defaults. */
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank,
                                    ncclConfig_t* config);

/*
 * The same, with nId ids (1 .. nranks) that share the work of the meeting points. commIds is an array of nId;
 * order and number are the same on every rank.
 */
ncclResult_t ncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId,
                                      ncclUniqueId* commIds, ncclConfig_t* config);

/*
 * Makes a communicator of ndev ranks that all live in this process; comm is an array of ndev. devlist names a
 * device per rank, without repetition where these are GPUs; NULL: 0 .. ndev-1. The ranks may then be driven
 * by one thread each, or all by one thread inside groups.
 */
ncclResult_t ncclCommInitAll(ncclComm_t* comm, int ndev, const int* devlist);

/*
 * Waits until everything issued on comm is complete on all ranks, and closes the connections. After that only
 * ncclCommDestroy, ncclCommAbort and ncclCommGetAsyncError are allowed. All ranks must call it: it returns
 * when all have, or have destroyed theirs; a rank that makes another call meanwhile is a mismatch, one that
 * dies an error. Where ranks share a process it does not wait, as one thread may finalize them one after the
 * other.
 */
ncclResult_t ncclCommFinalize(ncclComm_t comm);

/* Frees comm; finalizes it first if that was not done. The handle is invalid afterwards, and is recognised as
 * such. */
ncclResult_t ncclCommDestroy(ncclComm_t comm);

/*
 * Stops whatever runs on comm, here and on the other ranks, and frees it. Blocked calls of other threads on
 * it return an error first. Needs no peer to be alive. Any thread.
 */
ncclResult_t ncclCommAbort(ncclComm_t comm);

/*
 * Stops whatever runs on comm but keeps the handle: afterwards it may be destroyed, split or shrunk, not
 * finalized, and no collective runs on it. revokeFlags must be NCCL_REVOKE_DEFAULT. Any thread.
 */
#define NCCL_REVOKE_DEFAULT 0x00
ncclResult_t ncclCommRevoke(ncclComm_t comm, int revokeFlags);

/*
 * Divides comm: ranks of one color (0 or more) form a new communicator, ordered by key, then by old rank.
 * With NCCL_SPLIT_NOCOLOR a rank takes part in the call and gets *newcomm = NULL. config NULL: comm's
 * options. Called by all ranks of comm; comm stays usable.
 */
#define NCCL_SPLIT_NOCOLOR (-1)
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config);

/*
 * Makes a communicator of comm's ranks without the listed ones; the others keep their order. Called by the
 * remaining ranks only, with the same list. With NCCL_SHRINK_ABORT, work that runs on comm (and may hang on a
 * dead rank) is stopped first.
 */
#define NCCL_SHRINK_DEFAULT 0x00
#define NCCL_SHRINK_ABORT 0x01
ncclResult_t ncclCommShrink(ncclComm_t comm, int* excludeRanksList, int excludeRanksCount,
                            ncclComm_t* newcomm, ncclConfig_t* config, int shrinkFlags);

/* Makes the id with which new ranks join comm through ncclCommGrow. One at a time: it must be used up before
 * the next. */
ncclResult_t ncclCommGetUniqueId(ncclComm_t comm, ncclUniqueId* uniqueId);

/*
 * Makes a communicator of nRanks from comm's ranks and new ones. Ranks of comm pass comm and rank -1 and keep
 * their numbers; the one that called ncclCommGetUniqueId also passes the id, the others NULL. New ranks pass
 * comm NULL, the id, and their number (from comm's size up to nRanks-1).
 */
ncclResult_t ncclCommGrow(ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank,
                          ncclComm_t* newcomm, ncclConfig_t* config);

/* Gives back the memory of buffers and connections: it comes again with the first calls after
 * ncclCommResume. Until then no collective is allowed. All ranks call it, and it waits for all, if each rank
 * is a process of its own; where a process has several ranks it only refuses calls. What users have allocated
 * or registered is left alone. flags: NCCL_SUSPEND_MEM. */
#define NCCL_SUSPEND_MEM 0x01
ncclResult_t ncclCommSuspend(ncclComm_t comm, int flags);

/* Allows calls again. Suspend and Resume are called by all ranks. */
ncclResult_t ncclCommResume(ncclComm_t comm);

/* ---------------------------------------------------------------------------------------------------------
 * Communicators: asking them
 */

/* *count = number of ranks. Any thread. */
ncclResult_t ncclCommCount(const ncclComm_t comm, int* count);

/* *rank = this rank's number. Any thread. */
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank);

/* *device = the CUDA device of this rank; in host mode, where there are none, its rank. Any thread. */
ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int* device);

/*
 * *asyncError = ncclSuccess while all is well, ncclInProgress while a nonblocking call is under way, else
 * what went wrong (then only ncclCommAbort, ncclCommDestroy and, to carry on, ncclCommShrink remain). Never
 * waits. Any thread.
 */
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError);

/* Memory of a communicator, in bytes. In host mode "GPU memory" is host memory held for buffers and
 * connections. */
typedef enum {
  ncclStatGpuMemSuspend = 0,   /* held, and would be given back by ncclCommSuspend */
  ncclStatGpuMemSuspended = 1, /* 1 while suspended, else 0 */
  ncclStatGpuMemPersist = 2,   /* held, and kept through ncclCommSuspend */
  ncclStatGpuMemTotal = 3      /* all that is held */
} ncclCommMemStat_t;

/* *value = one figure of the list above. Any thread. */
ncclResult_t ncclCommMemStats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value);

/* ---------------------------------------------------------------------------------------------------------
 * Communicators: memory they know
 */

/*
 * Announces size bytes at buff as a buffer that collectives on comm will use often. Local, optional, changes
 * speed only. *handle goes to ncclCommDeregister. Registering a range twice gives two handles.
 */
ncclResult_t ncclCommRegister(const ncclComm_t comm, void* buff, size_t size, void** handle);
ncclResult_t ncclCommDeregister(const ncclComm_t comm, void* handle);

/* Flags of a window; may be combined. */
#define NCCL_WIN_DEFAULT 0x00
#define NCCL_WIN_COLL_SYMMETRIC 0x01  /* all ranks pass the same offset into it to collectives */
#define NCCL_WIN_STRICT_ORDERING 0x02 /* writes arrive in the order in which they were made */
#define NCCL_WIN_GIN_ONLY 0x04        /* (GPU) */
#define NCCL_WIN_CFT_COUNTED 0x08     /* (GPU) */

#define NCCL_WIN_REQUIRED_ALIGNMENT 4096 /* bytes, for buff */

/*
 * Opens size bytes at buff (from ncclMemAlloc) to all ranks of comm, for ncclPutSignal and for direct access
 * by collectives. All ranks call it in the same order; sizes may differ. *win is NULL (and the call succeeds)
 * where windows bring nothing.
 */
ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win,
                                    int winFlags);

/* Closes a window. Local; no peer may use it any more. */
ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win);

/* *outUserPtr = the buff with which this rank registered win. */
ncclResult_t ncclWinGetUserPtr(ncclComm_t comm, ncclWindow_t win, void** outUserPtr);

/* ---------------------------------------------------------------------------------------------------------
 * Operators of one's own
 */

/*
 * *op = an operator for collectives on comm with elements of `datatype`: each rank's input is multiplied by
 * the scalar, then all are summed. scalar points to one element of `datatype`; residence says when it is
 * read. Local: ranks may use different scalars.
 */
ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t datatype,
                                      ncclScalarResidence_t residence, ncclComm_t comm);

/* Frees it. Collectives that were called with it before are not disturbed. Built-in operators:
 * ncclInvalidArgument. */
ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm);

/* ---------------------------------------------------------------------------------------------------------
 * Collectives
 *
 * n is the number of ranks, r this rank, x[i] the i-th of consecutive blocks of `count` elements. Called by
 * all ranks with the same count, datatype, op and root.
 */

/* recvbuff (count) on every rank = op over all ranks of sendbuff (count). In place: sendbuff == recvbuff. */
ncclResult_t ncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

/* recvbuff (count) on root = op over all ranks of sendbuff (count). Elsewhere recvbuff is not used and may be
   NULL. In place: sendbuff == recvbuff. */
ncclResult_t ncclReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream);

/* recvbuff (count) on every rank = root's sendbuff (count). Elsewhere sendbuff is not used and may be NULL.
   In place: sendbuff == recvbuff. */
ncclResult_t ncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                           int root, ncclComm_t comm, cudaStream_t stream);

/* ncclBroadcast in place; kept for old programs. */
ncclResult_t ncclBcast(void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                       cudaStream_t stream);

/* recvbuff[i] (n blocks) on every rank = rank i's sendbuff (sendcount, the block). In place: sendbuff ==
 * recvbuff[r]. */
ncclResult_t ncclAllGather(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream);

/* recvbuff (recvcount, the block) = op over all ranks of sendbuff[r] (n blocks). In place: recvbuff ==
 * sendbuff[r]. */
ncclResult_t ncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount,
                               ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

/* recvbuff[i] = rank i's sendbuff[r]; n blocks of count each side. No in-place form. */
ncclResult_t ncclAlltoAll(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                          ncclComm_t comm, cudaStream_t stream);

/* recvbuff[i] (n blocks) on root = rank i's sendbuff (count). Elsewhere recvbuff is not used and may be NULL.
   In place: sendbuff == recvbuff[root] on root. */
ncclResult_t ncclGather(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                        ncclComm_t comm, cudaStream_t stream);

/* recvbuff (count) = root's sendbuff[r] (n blocks). Elsewhere sendbuff is not used and may be NULL.
   In place: recvbuff == sendbuff[root] on root. */
ncclResult_t ncclScatter(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                         int root, ncclComm_t comm, cudaStream_t stream);

/* The same calls with options for this one call. config NULL: the plain call. */
ncclResult_t ncclAllReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                 ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream,
                                 const ncclCollConfig_t* config);
ncclResult_t ncclReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                              ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream,
                              const ncclCollConfig_t* config);
ncclResult_t ncclBroadcastConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                 int root, ncclComm_t comm, cudaStream_t stream,
                                 const ncclCollConfig_t* config);
ncclResult_t ncclAllGatherConfig(const void* sendbuff, void* recvbuff, size_t sendcount,
                                 ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream,
                                 const ncclCollConfig_t* config);
ncclResult_t ncclReduceScatterConfig(const void* sendbuff, void* recvbuff, size_t recvcount,
                                     ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                     cudaStream_t stream, const ncclCollConfig_t* config);
ncclResult_t ncclAlltoAllConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config);
ncclResult_t ncclGatherConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                              int root, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config);
ncclResult_t ncclScatterConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                               int root, ncclComm_t comm, cudaStream_t stream,
                               const ncclCollConfig_t* config);

/* ---------------------------------------------------------------------------------------------------------
 * Point to point
 */

/*
 * Sends count elements to rank peer, which must call ncclRecv with this rank, the same count and the same
 * datatype. Messages between two ranks match in the order in which they were called. May wait for the peer,
 * so an exchange belongs in a group, where all sends and receives make progress together. To oneself: only
 * within a group, with its ncclRecv.
 */
ncclResult_t ncclSend(const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);

/* Receives count elements from rank peer; the counterpart of ncclSend. */
ncclResult_t ncclRecv(void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);

/*
 * One-sided: writes count elements from localbuff into peer's window at peerWinOffset bytes; once they are
 * visible there, raises peer's signal (sigIdx, ctx) by one. peerWin is this rank's handle of the window that
 * both registered. peer makes no call. sigIdx is 0 .. 15, ctx and flags must be 0. Reaches peers on this host
 * in this version; for others: ncclInvalidUsage.
 */
ncclResult_t ncclPutSignal(const void* localbuff, size_t count, ncclDataType_t datatype, int peer,
                           ncclWindow_t peerWin, size_t peerWinOffset, int sigIdx, int ctx,
                           unsigned int flags, ncclComm_t comm, cudaStream_t stream);

/* Raises peer's signal (sigIdx, ctx) by one, after everything this rank put to peer on ctx before. flags must
 * be 0. */
ncclResult_t ncclSignal(int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm,
                        cudaStream_t stream);

/* opCnt signals from peer on (sigIdx, ctx). */
typedef struct {
  int opCnt;
  int peer;
  int sigIdx;
  int ctx;
} ncclWaitSignalDesc_t;

/* Waits until every one of the nDesc descriptions is met, and uses those signals up. The array is read during
 * the call. */
ncclResult_t ncclWaitSignal(int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm,
                            cudaStream_t stream);

/* ---------------------------------------------------------------------------------------------------------
 * Groups
 *
 * Calls between ncclGroupStart and ncclGroupEnd of one thread are collected and started together by the
 * outermost ncclGroupEnd. Needed when one thread drives several ranks, and for sends and receives that must
 * progress together. Groups nest. Making communicators and moving data do not mix in one group. A call that
 * fails inside a group makes ncclGroupEnd fail with the first such error and nothing of the group is started.
 */
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

/* Ends the group without running it; simInfo->estimatedTime = how long it would have taken. */
ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t* simInfo);

/* ---------------------------------------------------------------------------------------------------------
 * Parameters
 *
 * The settings of the library, by the names of their environment variables ("NCCL_BUFFSIZE"; the prefix may
 * be left out). Any thread. A key that does not exist: ncclInvalidArgument.
 */
typedef struct ncclParamHandle* ncclParamHandle_t;

/* *out = handle of a parameter; it belongs to the library and stays valid. */
ncclResult_t ncclParamBind(ncclParamHandle_t* out, const char* key);

/* Its value as an integer. Not a number, or one that *out cannot hold: ncclInvalidArgument. */
ncclResult_t ncclParamGetI8(ncclParamHandle_t h, int8_t* out);
ncclResult_t ncclParamGetI16(ncclParamHandle_t h, int16_t* out);
ncclResult_t ncclParamGetI32(ncclParamHandle_t h, int32_t* out);
ncclResult_t ncclParamGetI64(ncclParamHandle_t h, int64_t* out);
ncclResult_t ncclParamGetU8(ncclParamHandle_t h, uint8_t* out);
ncclResult_t ncclParamGetU16(ncclParamHandle_t h, uint16_t* out);
ncclResult_t ncclParamGetU32(ncclParamHandle_t h, uint32_t* out);
ncclResult_t ncclParamGetU64(ncclParamHandle_t h, uint64_t* out);

/* Its value as text, as the user gave it. Valid until this thread's next ncclParamGetStr. */
ncclResult_t ncclParamGetStr(ncclParamHandle_t h, const char** out);

/*
 * Its value as bytes: an int64_t for numbers, the text without a final zero for the rest. At most maxLen
 * bytes are written; if it needs more, ncclInvalidArgument. *len (may be NULL) = bytes that it takes, also
 * when they did not fit.
 */
ncclResult_t ncclParamGet(ncclParamHandle_t h, void* out, int maxLen, int* len);

/* Value as text by key; *valueLen (may be NULL) = its length. Valid until this thread's next call of it. */
ncclResult_t ncclParamGetParameter(const char* key, const char** value, int* valueLen);

/* *table = all keys, *tableLen of them. Valid until this thread's next call of it. */
ncclResult_t ncclParamGetAllParameterKeys(const char*** table, int* tableLen);

/* Prints every parameter with its value, where that came from, and its default to standard output. */
void ncclParamDumpAll(void);

/* ---------------------------------------------------------------------------------------------------------
 * Profiling names
 *
 * Each call again with the prefix p. A tool may define a call of its own under the first name (which is a
 * weak symbol) and reach the library's through the second.
 */
const char* pncclGetErrorString(ncclResult_t result);
const char* pncclGetLastError(ncclComm_t comm);
ncclResult_t pncclGetVersion(int* version);
ncclResult_t pncclSetEncryption(const ncclEncryptionConfig_t* config);
ncclResult_t pncclMemAlloc(void** ptr, size_t size);
ncclResult_t pncclMemFree(void* ptr);
ncclResult_t pncclGetUniqueId(ncclUniqueId* uniqueId);
ncclResult_t pncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank);
ncclResult_t pncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank,
                                     ncclConfig_t* config);
ncclResult_t pncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId,
                                       ncclUniqueId* commIds, ncclConfig_t* config);
ncclResult_t pncclCommInitAll(ncclComm_t* comm, int ndev, const int* devlist);
ncclResult_t pncclCommFinalize(ncclComm_t comm);
ncclResult_t pncclCommDestroy(ncclComm_t comm);
ncclResult_t pncclCommAbort(ncclComm_t comm);
ncclResult_t pncclCommRevoke(ncclComm_t comm, int revokeFlags);
ncclResult_t pncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config);
ncclResult_t pncclCommShrink(ncclComm_t comm, int* excludeRanksList, int excludeRanksCount,
                             ncclComm_t* newcomm, ncclConfig_t* config, int shrinkFlags);
ncclResult_t pncclCommGetUniqueId(ncclComm_t comm, ncclUniqueId* uniqueId);
ncclResult_t pncclCommGrow(ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank,
                           ncclComm_t* newcomm, ncclConfig_t* config);
ncclResult_t pncclCommSuspend(ncclComm_t comm, int flags);
ncclResult_t pncclCommResume(ncclComm_t comm);
ncclResult_t pncclCommCount(const ncclComm_t comm, int* count);
ncclResult_t pncclCommUserRank(const ncclComm_t comm, int* rank);
ncclResult_t pncclCommCuDevice(const ncclComm_t comm, int* device);
ncclResult_t pncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError);
ncclResult_t pncclCommMemStats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value);
ncclResult_t pncclCommRegister(const ncclComm_t comm, void* buff, size_t size, void** handle);
ncclResult_t pncclCommDeregister(const ncclComm_t comm, void* handle);
ncclResult_t pncclCommWindowRegister(ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win,
                                     int winFlags);
ncclResult_t pncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win);
ncclResult_t pncclWinGetUserPtr(ncclComm_t comm, ncclWindow_t win, void** outUserPtr);
ncclResult_t pncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t datatype,
                                       ncclScalarResidence_t residence, ncclComm_t comm);
ncclResult_t pncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm);
ncclResult_t pncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                            ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                         ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                            int root, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclBcast(void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                        cudaStream_t stream);
ncclResult_t pncclAllGather(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                            ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount,
                                ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                cudaStream_t stream);
ncclResult_t pncclAlltoAll(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclGather(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                         int root, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclScatter(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                          int root, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclAllReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                  ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream,
                                  const ncclCollConfig_t* config);
ncclResult_t pncclReduceConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                               ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream,
                               const ncclCollConfig_t* config);
ncclResult_t pncclBroadcastConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                  int root, ncclComm_t comm, cudaStream_t stream,
                                  const ncclCollConfig_t* config);
ncclResult_t pncclAllGatherConfig(const void* sendbuff, void* recvbuff, size_t sendcount,
                                  ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream,
                                  const ncclCollConfig_t* config);
ncclResult_t pncclReduceScatterConfig(const void* sendbuff, void* recvbuff, size_t recvcount,
                                      ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                      cudaStream_t stream, const ncclCollConfig_t* config);
ncclResult_t pncclAlltoAllConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                 ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config);
ncclResult_t pncclGatherConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                               int root, ncclComm_t comm, cudaStream_t stream,
                               const ncclCollConfig_t* config);
ncclResult_t pncclScatterConfig(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                                int root, ncclComm_t comm, cudaStream_t stream,
                                const ncclCollConfig_t* config);
ncclResult_t pncclSend(const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                       cudaStream_t stream);
ncclResult_t pncclRecv(void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                       cudaStream_t stream);
ncclResult_t pncclPutSignal(const void* localbuff, size_t count, ncclDataType_t datatype, int peer,
                            ncclWindow_t peerWin, size_t peerWinOffset, int sigIdx, int ctx,
                            unsigned int flags, ncclComm_t comm, cudaStream_t stream);
ncclResult_t pncclSignal(int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm,
                         cudaStream_t stream);
ncclResult_t pncclWaitSignal(int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm,
                             cudaStream_t stream);
ncclResult_t pncclGroupStart(void);
ncclResult_t pncclGroupEnd(void);
ncclResult_t pncclGroupSimulateEnd(ncclSimInfo_t* simInfo);
ncclResult_t pncclParamBind(ncclParamHandle_t* out, const char* key);
ncclResult_t pncclParamGetI8(ncclParamHandle_t h, int8_t* out);
ncclResult_t pncclParamGetI16(ncclParamHandle_t h, int16_t* out);
ncclResult_t pncclParamGetI32(ncclParamHandle_t h, int32_t* out);
ncclResult_t pncclParamGetI64(ncclParamHandle_t h, int64_t* out);
ncclResult_t pncclParamGetU8(ncclParamHandle_t h, uint8_t* out);
ncclResult_t pncclParamGetU16(ncclParamHandle_t h, uint16_t* out);
ncclResult_t pncclParamGetU32(ncclParamHandle_t h, uint32_t* out);
ncclResult_t pncclParamGetU64(ncclParamHandle_t h, uint64_t* out);
ncclResult_t pncclParamGetStr(ncclParamHandle_t h, const char** out);
ncclResult_t pncclParamGet(ncclParamHandle_t h, void* out, int maxLen, int* len);
ncclResult_t pncclParamGetParameter(const char* key, const char** value, int* valueLen);
ncclResult_t pncclParamGetAllParameterKeys(const char*** table, int* tableLen);
void pncclParamDumpAll(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* NCCL_H_ */
