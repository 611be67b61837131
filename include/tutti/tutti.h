/*
 * tutti/tutti.h: what Tutti has beside NCCL's interface.
 *
 * Same conventions as nccl.h: results, counts in elements, streams, threads. C11 and C++14 or later.
 */
#ifndef TUTTI_TUTTI_H_
#define TUTTI_TUTTI_H_

#include <nccl.h>

#define TUTTI_MAJOR 0
#define TUTTI_MINOR 1
#define TUTTI_PATCH 0
#define TUTTI_VERSION_CODE (TUTTI_MAJOR * 10000 + TUTTI_MINOR * 100 + TUTTI_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* *version = TUTTI_VERSION_CODE of the library: 100 is 0.1.0. Any thread. */
ncclResult_t tuttiGetVersion(int* version);

/* ---------------------------------------------------------------------------------------------------------
 * Host streams
 *
 * A queue of work with one thread behind it, for collectives that run while the caller does something else.
 * Pass it to any call as (cudaStream_t)stream. Work of one stream runs in the order in which it was queued;
 * streams are independent of each other. One communicator may be used on several streams; its operations then
 * still run in the order of the calls.
 */
typedef struct tuttiStream* tuttiStream_t;

/* Makes a stream. */
ncclResult_t tuttiStreamCreate(tuttiStream_t* stream);

/* Waits until all work queued so far is complete. Returns the first error of that work, once. */
ncclResult_t tuttiStreamSynchronize(tuttiStream_t stream);

/* ncclSuccess: all work is complete; ncclInProgress: not yet; otherwise as tuttiStreamSynchronize. Never
 * waits. */
ncclResult_t tuttiStreamQuery(tuttiStream_t stream);

/* Waits for the work, then frees the stream. The handle is invalid afterwards. */
ncclResult_t tuttiStreamDestroy(tuttiStream_t stream);

/*
 * Queues fn(arg) behind the work so far. It runs on the stream's thread, also when that work failed; it must
 * not call into the library, and what waits on the stream waits for it.
 */
ncclResult_t tuttiStreamAddCallback(tuttiStream_t stream, void (*fn)(void*), void* arg);

/* ---------------------------------------------------------------------------------------------------------
 * Collectives with a count per rank
 *
 * Arrays have one entry per rank and are read during the call. Counts and displacements are in elements. n is
 * the number of ranks, r this rank.
 */

/*
 * Sends sendcounts[i] elements at sendbuff + sdispls[i] to each rank i, and receives recvcounts[i] from it at
 * recvbuff + rdispls[i]. recvcounts[i] here must equal sendcounts[r] on rank i. No in-place form.
 */
ncclResult_t tuttiAllToAllv(const void* sendbuff, const size_t sendcounts[], const size_t sdispls[],
                            void* recvbuff, const size_t recvcounts[], const size_t rdispls[],
                            ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream);

/*
 * recvbuff + displs[i] (recvcounts[i]) on every rank = rank i's sendbuff. sendcount must equal recvcounts[r];
 * recvcounts is the same on every rank. In place: sendbuff == recvbuff + displs[r].
 */
ncclResult_t tuttiAllGatherv(const void* sendbuff, size_t sendcount, void* recvbuff,
                             const size_t recvcounts[], const size_t displs[], ncclDataType_t datatype,
                             ncclComm_t comm, cudaStream_t stream);

/*
 * sendbuff holds the blocks of all ranks one after the other, recvcounts[i] elements for rank i; recvbuff
 * (recvcounts[r]) = op over all ranks of block r. recvcounts is the same on every rank. In place: recvbuff ==
 * block r of sendbuff.
 */
ncclResult_t tuttiReduceScatterv(const void* sendbuff, void* recvbuff, const size_t recvcounts[],
                                 ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                                 cudaStream_t stream);

/* ---------------------------------------------------------------------------------------------------------
 * Seeing inside
 *
 * Text calls write at most size bytes including the final zero, and cut what does not fit.
 */

/* One line on a communicator: ranks, hosts, transports. */
ncclResult_t tuttiCommDescribe(ncclComm_t comm, char* text, size_t size);

/*
 * Which algorithm and protocol a call would use: "oneshot/LL". collective is the call's name without prefix:
 * "AllReduce". op is ignored where the collective has none. Runs nothing.
 */
ncclResult_t tuttiExplain(ncclComm_t comm, const char* collective, size_t count, ncclDataType_t datatype,
                          ncclRedOp_t op, char* text, size_t size);

/* Reads environment and configuration files again. For communicators made from now on. Any thread. */
ncclResult_t tuttiParamsReload(void);

/*
 * Calls of nccl.h and nccl_device.h that exist but are not available in this version, one name per line: each
 * returns ncclInvalidUsage (or, where it does not return a result, an empty value) and names itself in
 * ncclGetLastError.
 */
ncclResult_t tuttiMissingCalls(char* text, size_t size);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TUTTI_TUTTI_H_ */
