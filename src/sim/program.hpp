// Plans in the form that the player reads: one small record per step, shared by ranks that play the same.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "sim/big_vector.hpp"
#include "sim/costs.hpp"
#include "sim/workload.hpp"

namespace tutti::sim {

/// One step. Times are for the step's own work, in picoseconds.
struct PlayStep {
  algos::BlockRef sized;  ///< the blocks of the message
  int32_t repeat = 1;
  uint32_t connAt = 0;  ///< receives first, then sends, counted from the lane's first peer and connection
  uint8_t receives = 0;
  uint8_t sends = 0;
  algos::Reads reads = algos::Reads::None;
  uint8_t readChannel = 0;
  uint8_t publishChannel = 0;
  bool publishes = false;
  bool wide = false;  ///< published to all
  algos::Affine readPeer;
  TimePs fixed = 0;       ///< work, whatever the size
  double psPerByte = 0;   ///< work per byte of the message
  uint16_t original = 0;  ///< its place in the lane, for names
  bool operator==(const PlayStep&) const = default;
};

/// Ranks whose lanes differ only in their peers share one.
struct LaneProgram {
  uint32_t shape = 0;  ///< Programs::shape(): sizes
  uint32_t stepsAt = 0;
  uint32_t connections = 0;
  uint16_t steps = 0;
  uint8_t channel = 0;
  uint8_t number = 0;  ///< of the lane
  int32_t part = 0;
  int32_t parts = 1;
  uint32_t rounds = 0;     ///< that are played
  uint32_t lastRound = 0;  ///< number of the last one, beyond `rounds` where some in the middle are left out
  uint64_t fullBytes = 0;  ///< of a block in every round but the last
  bool operator==(const LaneProgram&) const = default;
};

/// A lane of one position in a group: what it does, and with whom.
struct RankLane {
  uint32_t program = 0;
  uint32_t peersAt = 0;
};

/// The lanes of one position in a group: Programs::rankLane().
struct PositionProgram {
  uint32_t lanesAt = 0;
  uint32_t lanes = 0;
};

class Programs {
 public:
  /// `mostRounds`: of a lane that has more, so many are played, the last one among them; 0: all.
  Programs(const Workload& workload, const Costs& costs, uint32_t mostRounds)
      : workload_(workload), costs_(costs), mostRounds_(mostRounds) {}

  /// Built when first asked for.
  Result<PositionProgram> of(int item, int position);

  const RankLane& rankLane(uint32_t i) const { return rankLanes_[i]; }
  const LaneProgram& lane(uint32_t i) const { return lanes_[i]; }
  const PlayStep& step(uint32_t i) const { return steps_[i]; }
  const algos::Affine& peer(uint32_t i) const { return peers_[i]; }
  /// Bytes of a message of `step` in `round`; `even`: of the largest block, whichever it is.
  uint64_t bytes(const LaneProgram& lane, const PlayStep& step, uint32_t round, int k, bool even) const {
    if (round + 1 < lane.rounds) return lane.fullBytes * static_cast<uint64_t>(step.sized.span);
    return lastRoundBytes(lane, step, lane.lastRound, k, even);
  }
  /// Rounds of every lane so far, before any were left out; 0: lanes differ.
  uint32_t rounds() const { return roundsDiffer_ ? 0 : rounds_; }
  /// "recvReduceSend": rebuilds the plan, for messages and traces.
  std::string stepName(int item, int position, const LaneProgram& lane, const PlayStep& step) const;

 private:
  uint64_t lastRoundBytes(const LaneProgram& lane, const PlayStep& step, uint32_t round, int k,
                          bool even) const;
  uint32_t share(LaneProgram lane, std::span<const PlayStep> steps);
  PlayStep costed(const algos::Plan& plan, const algos::Step& step) const;

  const Workload& workload_;
  Costs costs_;
  uint32_t mostRounds_;
  uint32_t rounds_ = 0;
  bool roundsDiffer_ = false;
  std::vector<algos::Plan> shapes_;  ///< plans without lanes, one per item
  std::unordered_map<int, uint32_t> shapeOf_;
  BigVector<RankLane> rankLanes_;
  std::vector<LaneProgram> lanes_;
  std::vector<PlayStep> steps_;
  std::unordered_multimap<uint64_t, uint32_t> known_;  ///< lanes_, by hash
  BigVector<algos::Affine> peers_;
  std::vector<std::vector<PositionProgram>> built_;  ///< by item and position; lanesAt kNone: not yet
};

}  // namespace tutti::sim
