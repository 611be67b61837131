// What one perf program measures: sizes, data, bandwidth and the call. One file per collective fills this in.
#pragma once

#include <nccl.h>

#include <cstddef>
#include <span>
#include <vector>

#include "core/dtype.hpp"
#include "core/result.hpp"
#include "pattern.hpp"

namespace tutti::perf {

/// Elements of one call, from the size asked for.
struct Shape {
  size_t send = 0;            ///< in a rank's send buffer
  size_t receive = 0;         ///< in a rank's receive buffer
  size_t count = 0;           ///< the count argument of the call; the "count" column
  size_t sendInPlace = 0;     ///< in place, rank r sends from r * sendInPlace
  size_t receiveInPlace = 0;  ///< in place, rank r receives at r * receiveInPlace
};

/// Who calls, for the data of a check.
struct Place {
  int rank = 0;
  int ranks = 1;
  int root = 0;
  Shape shape;
  size_t elementSize = 1;
};

/// Elements `first`.. of a source, at `at` elements from where the rank sends or receives.
struct Piece {
  size_t at = 0;
  size_t count = 0;
  Source source = Source::Raw;
  int stream = 0;
  size_t first = 0;
};

struct Call {
  const void* send = nullptr;
  void* receive = nullptr;
  size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t op = ncclSum;
  int root = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  int rank = 0;
  int ranks = 1;
  int step = 0;

  size_t elementSize() const { return sizeOf(static_cast<DataType>(type)); }
};

struct Collective {
  const char* name;       ///< NCCL's name without prefix; tuttiExplain knows it by this
  bool reduces = false;   ///< takes an op
  bool listsOps = false;  ///< has the op column without taking an op (nccl-tests does so for sendrecv)
  bool rooted = false;    ///< takes a root
  bool checksInPlace =
      true;  ///< false: in place means nothing; it is timed without a check, as nccl-tests does
  bool onlyOutOfPlace = false;   ///< Tutti's call refuses to work in place
  const char* opLabel = "none";  ///< the redop column of a collective without op

  Shape (*shape)(size_t count, size_t elementSize, int ranks) = nullptr;
  /// Bytes that algbw counts.
  double (*algorithmBytes)(const Shape& shape, size_t elementSize, int ranks) = nullptr;
  /// busbw / algbw.
  double (*busFactor)(int ranks) = nullptr;
  /// What a rank sends, and what it has received in the end.
  std::vector<Piece> (*input)(const Place& place) = nullptr;
  std::vector<Piece> (*output)(const Place& place) = nullptr;
  /// The call, or its step `call.step` of `steps(ranks)`: one step's calls of all ranks of a thread form a
  /// group.
  ncclResult_t (*run)(const Call& call) = nullptr;
  int (*steps)(int ranks) = nullptr;
  /// Looks at the environment and refuses what cannot run, before anything is set up.
  Status (*prepare)(int ranks, size_t minBytes, size_t maxBytes) = nullptr;
  /// Lines to print after each row; rank 0 only.
  void (*afterRow)(const Shape& shape, size_t elementSize, int ranks, double seconds) = nullptr;
  /// What this collective wants of its communicators.
  void (*configure)(ncclConfig_t& config) = nullptr;
};

/// `count` elements over the ranks, each share a multiple of 16 bytes, as nccl-tests does.
inline size_t sharePerRank(size_t count, size_t elementSize, int ranks) {
  size_t share = count / static_cast<size_t>(ranks);
  return share - share % (16 / elementSize);
}

/// The main function of every perf program.
int perfMain(const Collective& collective, int argc, char** argv);

}  // namespace tutti::perf
