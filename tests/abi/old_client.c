/* A program of 2023, as a compiler saw it that had NCCL 2.18's header: the struct and the calls are written
 * down by hand. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct OldConfig {
  size_t size;
  unsigned int magic;
  unsigned int version;
  int blocking;
  int cgaClusterSize;
  int minCTAs;
  int maxCTAs;
  const char* netName;
  int splitShare;
};
typedef struct {
  char internal[128];
} OldId;

extern int ncclGetUniqueId(OldId* id);
extern int ncclCommInitRankConfig(void** comm, int nranks, OldId id, int rank, struct OldConfig* config);
extern int ncclCommSplit(void* comm, int color, int key, void** newcomm, struct OldConfig* config);
extern int ncclAllReduce(const void* send, void* recv, size_t count, int type, int op, void* comm,
                         void* stream);
extern int ncclCommDestroy(void* comm);
extern const char* ncclGetLastError(void* comm);

#define UNSET ((int)0x80000000u)
#define CHECK(call)                                           \
  if ((call) != 0) {                                          \
    printf("%s failed: %s\n", #call, ncclGetLastError(NULL)); \
    return 1;                                                 \
  }

int main(void) {
  struct OldConfig config;
  memset(&config, 0x5a, sizeof(config)); /* what is between and behind the members is anything */
  config.size = sizeof(config);
  config.magic = 0xcafebeef;
  config.version = 21805;
  config.blocking = 1;
  config.cgaClusterSize = UNSET;
  config.minCTAs = UNSET;
  config.maxCTAs = UNSET;
  config.netName = NULL;
  config.splitShare = 1;
  OldId id;
  void* comm = NULL;
  void* part = NULL;
  CHECK(ncclGetUniqueId(&id));
  CHECK(ncclCommInitRankConfig(&comm, 1, id, 0, &config));
  CHECK(ncclCommSplit(comm, 3, 0, &part, &config));
  float in[3] = {1, 2, 3}, out[3] = {0, 0, 0};
  CHECK(ncclAllReduce(in, out, 3, 7, 0, part, NULL));
  if (memcmp(in, out, sizeof(in)) != 0) {
    printf("wrong result\n");
    return 1;
  }
  CHECK(ncclCommDestroy(part));
  CHECK(ncclCommDestroy(comm));
  config.blocking = 7;
  int refused = ncclCommInitRankConfig(&comm, 1, id, 0, &config);
  if (refused != 4 || strstr(ncclGetLastError(NULL), "config.blocking") == NULL) {
    printf("a bad member gave %d: %s\n", refused, ncclGetLastError(NULL));
    return 1;
  }
  return 0;
}
