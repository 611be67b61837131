#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <oneapi/ccl.hpp>
#include <string>

#include "driver.h"

namespace {

std::unique_ptr<ccl::communicator> comm;

int environmentNumber(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : -1;
}

// The main address travels in the file that COMPARE_MEET names: rank 0 renames it into place when it is
// complete.
ccl::shared_ptr_class<ccl::kvs> meet(int rank) {
  const std::string path = std::getenv("COMPARE_MEET");
  if (rank == 0) {
    auto kvs = ccl::create_main_kvs();
    const auto address = kvs->get_address();
    std::ofstream(path + ".part", std::ios::binary).write(address.data(), address.size());
    std::rename((path + ".part").c_str(), path.c_str());
    return kvs;
  }
  ccl::kvs::address_type address;
  for (;;) {
    std::ifstream file(path, std::ios::binary);
    if (file && file.read(address.data(), address.size())) return ccl::create_kvs(address);
    usleep(10000);
  }
}

}  // namespace

int peerOpen(int*, char**, int* rank, int* size) try {
  *rank = environmentNumber("PMI_RANK");
  *size = environmentNumber("PMI_SIZE");
  if (*rank < 0 || *size < 1 || !std::getenv("COMPARE_MEET")) {
    std::fprintf(stderr, "compare driver: start it with mpiexec.hydra and COMPARE_MEET\n");
    return 1;
  }
  ccl::init();
  comm = std::make_unique<ccl::communicator>(ccl::create_communicator(*size, *rank, meet(*rank)));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "compare driver: oneCCL: %s\n", error.what());
  return 1;
}

int peerSupports(Collective collective, int inPlace) {
  if (collective == kGather || collective == kScatter) return 0;
  return collective != kAlltoAll || !inPlace;
}

int peerCall(const Call* call) try {
  constexpr auto type = ccl::datatype::float32;
  constexpr auto sum = ccl::reduction::sum;
  switch (call->collective) {
    case kAllReduce:
      ccl::allreduce(call->send, call->recv, call->count, type, sum, *comm).wait();
      return 0;
    case kReduceScatter:
      ccl::reduce_scatter(call->send, call->recv, call->count, type, sum, *comm).wait();
      return 0;
    case kAllGather:
      ccl::allgather(call->send, call->recv, call->count, type, *comm).wait();
      return 0;
    case kAlltoAll:
      ccl::alltoall(call->send, call->recv, call->count, type, *comm).wait();
      return 0;
    case kBroadcast:
      // Two buffers: the newer call; one: the older, which has no second buffer to look at.
      if (call->inPlace)
        ccl::broadcast(call->recv, call->count, type, 0, *comm).wait();
      else
        ccl::broadcast(const_cast<void*>(call->send), call->recv, call->count, type, 0, *comm).wait();
      return 0;
    case kReduce:
      ccl::reduce(call->send, call->recv, call->count, type, sum, 0, *comm).wait();
      return 0;
    default:
      return 1;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "compare driver: oneCCL: %s\n", error.what());
  return 1;
}

const void* peerResult(const Call* call) {
  return call->recv;
}

double peerMeet(double value) {
  double largest = value;
  ccl::allreduce(&value, &largest, 1, ccl::datatype::float64, ccl::reduction::max, *comm).wait();
  return largest;
}

void peerClose() {
  comm.reset();
}
