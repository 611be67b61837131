#include "api/checks.hpp"

namespace tutti::api {

Error badType(int type) {
  return makeError(Code::InvalidArgument,
                   "datatype {} does not exist: there are 0 (ncclInt8) to {} (ncclFloat8e5m2)", type,
                   kDataTypeCount - 1);
}

Error badOp(int op) {
  return makeError(
      Code::InvalidArgument,
      "op {} does not exist: there are 0 (ncclSum) to {} (ncclAvg) and what ncclRedOpCreatePreMulSum gave",
      op, comm::kFirstCustomOp - 1);
}

Error badRank(const char* what, int rank, int nRanks) {
  return makeError(Code::InvalidArgument, "{} {} is not a rank: the communicator has ranks 0 to {}", what,
                   rank, nRanks - 1);
}

Error tooLarge(size_t count, DataType type, size_t blocks) {
  if (blocks == 1) {
    return makeError(Code::InvalidArgument, "count {} of {} is 2^63 bytes or more", count, nameOf(type));
  }
  return makeError(Code::InvalidArgument, "count {} of {} for each of {} ranks is 2^63 bytes or more", count,
                   nameOf(type), blocks);
}

}  // namespace tutti::api
