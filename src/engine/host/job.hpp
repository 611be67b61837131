// A Job is one collective, or one send or receive, of one rank, ready to be played: a plan with buffers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "algos/plan.hpp"
#include "kernels/host/reduce.hpp"

namespace tutti::engine {

class Express;
class HostEngine;

/// AllToAllV: counts and offsets in elements, one per rank.
struct VectorCounts {
  const size_t* sendCounts = nullptr;
  const size_t* sendOffsets = nullptr;
  const size_t* recvCounts = nullptr;
  const size_t* recvOffsets = nullptr;
};

/// A value. What it points to lives until the job has been played.
struct Job {
  HostEngine* engine = nullptr;
  const algos::Plan* plan = nullptr;
  const Express* express = nullptr;  ///< of the same plan; null or empty: there is none
  const void* input = nullptr;
  void* output = nullptr;
  kernels::Reduction reduction;
  VectorCounts vectors;     ///< all null but for AllToAllV
  uint32_t signature = 0;   ///< travels with every message; two ranks made the same call if theirs are equal
  uint64_t callNumber = 0;  ///< as recorded with the control plane; 0 for send and receive
  bool inputReused =
      false;  ///< something else of the group writes into the input: peers must not read it in place
  /// Set to whether all ranks' buffers of this call could be read and written by all ranks, where the plan
  /// told each rank so of each other (AllReduce over boards); the same on every rank. May be null.
  bool* sharedByAll = nullptr;
  /// This very call has ended well so often that its rank, if it only sends, goes on without waiting for its
  /// messages to be taken. Should a call differ now, the ranks that receive find out, and the sender hears of
  /// it in its next call.
  bool trusted = false;
  /// The same job with another plan: played in place of this one if *sharedByAll is true when the job starts,
  /// that is, when the jobs before it have been played. May be null.
  const Job* whenShared = nullptr;
  int after = -1;  ///< index of the job in the same span that must be done before this one starts

  /// `number`: as recorded with the control plane. Where ranks that only send may be calls ahead of those
  /// that receive, messages say of which call they are.
  void setCall(uint64_t number) {
    callNumber = number;
    if (algos::hasRoot(plan->request.collective))
      signature = (signature + static_cast<uint32_t>(number) * 0x9e3779b1u) | 1;
  }
  bool isP2p() const { return callNumber == 0; }
};

}  // namespace tutti::engine
