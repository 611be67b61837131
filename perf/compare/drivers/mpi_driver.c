#include <mpi.h>

#include "driver.h"

static int self;

int peerOpen(int* argc, char** argv, int* rank, int* size) {
  if (MPI_Init(argc, &argv) != MPI_SUCCESS) return 1;
  MPI_Comm_rank(MPI_COMM_WORLD, rank);
  MPI_Comm_size(MPI_COMM_WORLD, size);
  self = *rank;
  return 0;
}

/* MPI_Bcast has one buffer only, so there is no other form than in place. */
int peerSupports(Collective collective, int inPlace) {
  return collective == kBroadcast ? inPlace : collective == kAlltoAll ? !inPlace : 1;
}

int peerCall(const Call* call) {
  const MPI_Comm all = MPI_COMM_WORLD;
  int n = (int)call->count;
  int root = self == 0;
  const void* send = call->inPlace ? MPI_IN_PLACE : call->send;
  switch (call->collective) {
    case kAllReduce:
      return MPI_Allreduce(send, call->recv, n, MPI_FLOAT, MPI_SUM, all) != MPI_SUCCESS;
    case kReduceScatter:
      /* In place, MPI takes all blocks from the receive buffer and puts this rank's at its start. */
      return MPI_Reduce_scatter_block(send, call->inPlace ? (void*)call->send : call->recv, n, MPI_FLOAT,
                                      MPI_SUM, all) != MPI_SUCCESS;
    case kAllGather:
      return MPI_Allgather(send, n, MPI_FLOAT, call->recv, n, MPI_FLOAT, all) != MPI_SUCCESS;
    case kAlltoAll:
      return MPI_Alltoall(call->send, n, MPI_FLOAT, call->recv, n, MPI_FLOAT, all) != MPI_SUCCESS;
    case kBroadcast:
      return MPI_Bcast(call->recv, n, MPI_FLOAT, 0, all) != MPI_SUCCESS;
    case kReduce:
      return MPI_Reduce(root ? send : call->send, call->recv, n, MPI_FLOAT, MPI_SUM, 0, all) != MPI_SUCCESS;
    case kGather:
      return MPI_Gather(root ? send : call->send, n, MPI_FLOAT, call->recv, n, MPI_FLOAT, 0, all) !=
             MPI_SUCCESS;
    case kScatter:
      return MPI_Scatter(call->send, n, MPI_FLOAT, root && call->inPlace ? MPI_IN_PLACE : call->recv, n,
                         MPI_FLOAT, 0, all) != MPI_SUCCESS;
    default:
      return 1;
  }
}

const void* peerResult(const Call* call) {
  return call->inPlace && call->collective == kReduceScatter ? call->send : call->recv;
}

double peerMeet(double value) {
  double largest = value;
  MPI_Allreduce(&value, &largest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return largest;
}

void peerClose(void) {
  MPI_Finalize();
}
