// Verifier: plays the plans of all ranks on symbols instead of numbers and proves the collective right, or
// names the first thing that is wrong.
//
// What a passing set of plans has been shown to do, with the semantics of the host engine:
//  - every output element holds exactly the contributions it should, each once, and the operator's last part
//    (Avg's division) has been applied exactly once; inputs are scaled (PreMulSum) exactly once;
//  - for AllReduce, every rank holds the same combination tree up to commuted pairs: bitwise equal results;
//  - no deadlock with FIFOs of limits.depth and boards of boardDepth slots, under any interleaving;
//  - messages have the length that their receiver expects, fit their slots, and all are taken; board slots
//  are
//    read after they were published and before they are written again, and every publication is acknowledged
//    by all that it was for, so that a next call starts as this one did;
//  - no element is written while another lane or rank may still read it, also where buffers are aliased (in
//    place) and where peers read them directly instead of from slots;
//  - all accesses lie inside the buffers of nccl.h.
//
// Why one run proves all interleavings. A play waits for a conjunction of conditions (message there, slot
// free, board published or acknowledged), each of which only one other lane can make true and none can make
// false again: every FIFO end, board channel and acknowledgement belongs to a single lane, which is checked.
// So two plays that are both possible can be exchanged, and all maximal runs play the same steps: if one run
// ends, all do; if one gets stuck, all do. What the plays compute could then still depend on the order in
// which unordered plays touch the same element. The verifier keeps a vector clock per lane, with the edges
// "sent before received" and "published before read" only (not the waiting for free slots: so the proof does
// not depend on the depth), and refuses any two accesses to an element, one of them a write, that these edges
// do not order. Hence every read gets the same value in every interleaving, the one computed here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "algos/plan.hpp"

namespace tutti::algos {

/// What the play amounted to, summed over all ranks.
struct VerifyStats {
  uint64_t plays = 0;
  uint64_t messages = 0;
  uint64_t elementsSent = 0;       ///< through FIFOs
  uint64_t elementsPublished = 0;  ///< to boards
  uint64_t elementsRead = 0;       ///< off boards
};

struct VerifyOptions {
  Limits limits;
  int boardDepth = 2;
  /// AllToAllV: what rank r sends rank p is counts[r * nRanks + p]. Empty: all are request.count.
  std::vector<size_t> counts;
  /// Gives up (with an error) on plans longer than this: a file may ask for anything.
  uint64_t maxPlays = 500'000'000;
  /// Likewise on buffers cut into more pieces than this, over all ranks.
  uint64_t maxCells = 50'000'000;
  VerifyStats* stats = nullptr;
};

/// `plans`: one per rank, in rank order. The error names rank, lane, step, round and what is wrong.
Status verifyPlans(std::span<const Plan> plans, const VerifyOptions& options);

}  // namespace tutti::algos
