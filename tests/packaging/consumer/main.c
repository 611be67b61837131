/* A communicator of one adds up its own numbers: enough to see that header and library are there and fit. */
#include <nccl.h>
#include <stdio.h>

static int failed(const char* call, ncclResult_t result) {
  if (result == ncclSuccess) return 0;
  fprintf(stderr, "%s: %s: %s\n", call, ncclGetErrorString(result), ncclGetLastError(NULL));
  return 1;
}

int main(void) {
  int version = 0;
  ncclUniqueId id;
  ncclComm_t comm;
  float in[3] = {1, 2, 3}, out[3] = {0, 0, 0};
  if (failed("ncclGetVersion", ncclGetVersion(&version))) return 1;
  if (failed("ncclGetUniqueId", ncclGetUniqueId(&id))) return 1;
  if (failed("ncclCommInitRank", ncclCommInitRank(&comm, 1, id, 0))) return 1;
  if (failed("ncclAllReduce", ncclAllReduce(in, out, 3, ncclFloat, ncclSum, comm, NULL))) return 1;
  if (failed("ncclCommDestroy", ncclCommDestroy(comm))) return 1;
  printf("version %d, sum %g %g %g\n", version, out[0], out[1], out[2]);
  return version == 23203 && out[0] == 1 && out[2] == 3 ? 0 : 1;
}
