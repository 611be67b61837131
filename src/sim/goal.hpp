// GOAL, the text form of LogGOPSim's schedules: per rank, operations (calc, send, recv) and which require
// which.
//
//   num_ranks 2
//   rank 0 {
//     l1: calc 100                       nanoseconds
//     l2: send 1024b to 1 tag 5 cpu 0
//     l2 requires l1                     l1 has ended
//     l3 irequires l2                    l2 has begun
//   }
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/simulate.hpp"

namespace tutti::sim {

struct GoalOp {
  enum class Kind : uint8_t { Calc, Send, Recv } kind = Kind::Calc;
  uint64_t amount = 0;  ///< nanoseconds, or bytes
  int peer = -1;
  int tag = 0;
  int cpu = 0;                        ///< operations of one cpu of a rank go one at a time
  std::vector<uint32_t> after;        ///< ended
  std::vector<uint32_t> afterBegins;  ///< begun
};

struct Goal {
  std::vector<std::vector<GoalOp>> ranks;
};

/// Errors name the line.
Result<Goal> parseGoal(std::string_view text);
std::string toText(const Goal& goal);

/// The operations of a workload's calls. What a rank works becomes calc, so that a simulator of GOAL should
/// add no overhead of its own. FIFO depths are not part of GOAL. Boards have no messages: an error.
Result<Goal> goalOf(const Workload& workload, const Costs& costs);

struct GoalReport {
  TimePs end = 0;
  uint64_t operations = 0;
  uint64_t messages = 0;
};
/// Plays it: sends take `sendUs` of the cpu, receives `recvUs` once their message is here. Operations that
/// can never begin are an error that names them.
Result<GoalReport> simulateGoal(Network& network, const Goal& goal, double sendUs, double recvUs);

}  // namespace tutti::sim
