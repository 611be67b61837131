/* The interface from C: four ranks as threads, blocking and on a host stream, groups, and a result from each.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <tutti/tutti.h>

enum { kRanks = 4, kCount = 1000 };

static ncclUniqueId id;

#define CHECK(call)                                                                                       \
  do {                                                                                                    \
    ncclResult_t result_ = (call);                                                                        \
    if (result_ != ncclSuccess) {                                                                         \
      printf("rank %d: %s: %s (%s)\n", rank, #call, ncclGetErrorString(result_), ncclGetLastError(NULL)); \
      return (void*)1;                                                                                    \
    }                                                                                                     \
  } while (0)

static void* wrong(int rank, const char* what) {
  printf("rank %d: wrong %s\n", rank, what);
  return (void*)1;
}

static void* run(void* arg) {
  int rank = (int)(intptr_t)arg;
  ncclComm_t comm;
  static float in[kRanks][kCount], out[kRanks][kCount];
  static int32_t gathered[kRanks][kRanks], from[kRanks];
  CHECK(ncclCommInitRank(&comm, kRanks, id, rank));
  int value = -1;
  CHECK(ncclCommUserRank(comm, &value));
  if (value != rank) return wrong(rank, "rank");
  CHECK(ncclCommCount(comm, &value));
  if (value != kRanks) return wrong(rank, "count");
  for (int i = 0; i < kCount; ++i) in[rank][i] = (float)(rank + i);

  CHECK(ncclAllReduce(in[rank], out[rank], kCount, ncclFloat, ncclSum, comm, NULL));
  for (int i = 0; i < kCount; ++i) {
    if (out[rank][i] != (float)(kRanks * i + kRanks * (kRanks - 1) / 2)) return wrong(rank, "sum");
  }

  tuttiStream_t stream;
  CHECK(tuttiStreamCreate(&stream));
  CHECK(ncclAllReduce(in[rank], out[rank], kCount, ncclFloat, ncclMax, comm, (cudaStream_t)stream));
  CHECK(tuttiStreamSynchronize(stream));
  for (int i = 0; i < kCount; ++i) {
    if (out[rank][i] != (float)(kRanks - 1 + i)) return wrong(rank, "max");
  }
  CHECK(tuttiStreamDestroy(stream));

  from[rank] = 10 + rank;
  int32_t received = 0;
  CHECK(ncclGroupStart());
  CHECK(ncclAllGather(&from[rank], gathered[rank], 1, ncclInt32, comm, NULL));
  CHECK(ncclSend(&from[rank], 1, ncclInt32, (rank + 1) % kRanks, comm, NULL));
  CHECK(ncclRecv(&received, 1, ncclInt32, (rank + kRanks - 1) % kRanks, comm, NULL));
  CHECK(ncclGroupEnd());
  for (int i = 0; i < kRanks; ++i) {
    if (gathered[rank][i] != 10 + i) return wrong(rank, "gather");
  }
  if (received != 10 + (rank + kRanks - 1) % kRanks) return wrong(rank, "receive");

  ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER;
  config.algSelection = "ring";
  CHECK(ncclAllReduceConfig(in[rank], out[rank], kCount, ncclFloat, ncclMin, comm, NULL, &config));
  for (int i = 0; i < kCount; ++i) {
    if (out[rank][i] != (float)i) return wrong(rank, "min");
  }
  CHECK(ncclCommFinalize(comm));
  CHECK(ncclCommDestroy(comm));
  return NULL;
}

int main(void) {
  if (ncclGetUniqueId(&id) != ncclSuccess) {
    printf("%s\n", ncclGetLastError(NULL));
    return 1;
  }
  pthread_t threads[kRanks];
  for (int i = 0; i < kRanks; ++i) pthread_create(&threads[i], NULL, run, (void*)(intptr_t)i);
  int failed = 0;
  for (int i = 0; i < kRanks; ++i) {
    void* result;
    pthread_join(threads[i], &result);
    failed |= result != NULL;
  }
  return failed;
}
