/*
 * One measuring protocol for all libraries that are compared. driver.c holds main(), the buffers, the check
 * and the clock; a library brings the functions below and nothing else, so that what differs is the library
 * alone. C99, so that every MPI's mpicc compiles it.
 */
#ifndef TUTTI_COMPARE_DRIVER_H_
#define TUTTI_COMPARE_DRIVER_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kAlltoAll,
  kBroadcast,
  kReduce,
  kGather,
  kScatter,
  kCollectives
} Collective;

/* One call. Elements are float, the operator is sum, the root is rank 0. */
typedef struct {
  Collective collective;
  int inPlace;      /* the buffers stand to each other as NCCL's in-place forms want it */
  const void* send; /* never NULL */
  void* recv;       /* never NULL */
  size_t count;     /* all_reduce, broadcast, reduce: elements of a buffer; others: elements of a block */
} Call;

/* Connects this process; sets who it is. Takes what it knows from argv out of it. 0, or 1 after a message on
 * stderr. */
int peerOpen(int* argc, char** argv, int* rank, int* size);
/* Whether the library has this call in this form. */
int peerSupports(Collective collective, int inPlace);
/* Memory for the buffers of all following cells, by default from malloc. Called by all ranks with the same
 * bytes. */
void* peerAllocate(size_t bytes);
void peerRelease(void* memory);
/* Returns when this rank's part is complete. 0, or 1 after a message on stderr. */
int peerCall(const Call* call);
/* Where the call put its result: call->recv but where the library's form in place is another. */
const void* peerResult(const Call* call);
/* All ranks meet; returns the largest of their values. */
double peerMeet(double value);
void peerClose(void);

#ifdef __cplusplus
}
#endif

#endif
