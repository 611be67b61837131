// Plays the plans of all ranks on symbolic values. Internal to the verifier.
#pragma once

#include <unordered_map>

#include "algos/verify_memory.hpp"
#include "algos/verify_shape.hpp"
#include "algos/verify_values.hpp"

namespace tutti::algos::verify {

class Player {
 public:
  /// REQUIRES checkShape() of the same.
  Player(std::span<const Plan> plans, const VerifyOptions& options);

  /// Until all lanes are done; an error as soon as something is wrong.
  Status play();
  /// After play(): nothing is left on the way, and every output is what the collective promises.
  Status checkLeftovers() const;
  Status checkOutputs() const;

 private:
  /// A stretch of a rank's buffers that a peer may read in place. memory < 0: none, the bytes are in a slot.
  struct Region {
    int memory = -1;
    size_t begin = 0;
    bool operator==(const Region&) const = default;
  };
  /// A block of a play's source or destination.
  struct Stretch {
    Region region;
    size_t count = 0;
    bool operator==(const Stretch&) const = default;
  };
  struct Message {
    size_t count = 0;
    std::vector<Piece> pieces;
    Clock clock;
    Region region;
    Event sender;
  };
  struct Fifo {
    std::vector<Message> slots;
    uint64_t sent = 0, taken = 0;
  };
  struct Published {
    uint64_t seq = 0;  ///< 0: never used
    int reader = -1;
    Clock clock;
    Event writer;
    std::vector<Piece> pieces;
    struct Block {
      size_t firstPiece = 0, count = 0;
      Region region;
    };
    std::vector<Block> blocks;
  };
  struct LaneState {
    int rank = 0;
    int number = 0;
    const Lane* lane = nullptr;
    int64_t round = 0, rounds = 0;
    int step = 0, repeat = 0;
    Clock clock;
    int waitsFor = -1;
    std::string_view waitsWhat;

    bool done() const { return round >= rounds; }
  };
  struct Rank {
    const Plan* plan = nullptr;
    Buffers buffers;
    Memory memory[3];  ///< input, output and scratch; input and output are one, the first, where aliased
    std::vector<Published> boards[2];
    std::vector<uint64_t> acks[2];  ///< by writer: what this rank has finished reading of its boards
    bool inputDirect = false;
  };
  enum class Outcome { Blocked, Moved };

  // One play.
  struct Play {
    LaneState& state;
    Rank& rank;
    const Plan& plan;
    const Step& step;
    const BlockRef& sized;
    Event event;
    std::vector<size_t> counts;  ///< elements of each block of the span
    size_t total = 0;
  };
  Result<Outcome> playOne(LaneState& state);
  Result<bool> ready(Play& play);
  Result<bool> boardReady(Play& play, int peer);
  Status take(Play& play, std::vector<Piece>& value);
  Status takeLocal(Play& play, std::vector<Piece>& value);
  Status takeMessage(Play& play, int index, std::vector<Piece>& value);
  Status takeBoard(Play& play, int peer, std::vector<Piece>& value);
  Status reduce(Play& play, std::vector<Piece>& value);
  Status store(Play& play, const std::vector<Piece>& value);
  Status put(Play& play, const std::vector<Piece>& value);
  Status putMessage(Play& play, int peer, const std::vector<Piece>& value);
  Status publish(Play& play, const std::vector<Piece>& value);
  void acknowledge(Play& play);
  Status noteDirectRead(Play& play, int owner, const Region& region, size_t count);

  // Memory.
  void prepareMemory(std::span<const Plan> plans, Rank& rank);
  Status stretchesOf(const Play& play, const BlockRef& ref, const char* what,
                     std::vector<Stretch>& out) const;
  static bool overlap(std::vector<Stretch> a, const std::vector<Stretch>& b);
  Status locate(Play& play);

  Fifo& fifo(int channel, int from, int to);
  uint64_t slotOf(const LaneState& state) const { return static_cast<uint64_t>(state.round) + 1; }
  std::string where(const Play& play) const;
  std::string where(const Event& event) const;
  std::string whereWaiting(const LaneState& state) const;
  Error wrong(const Play& play, std::string what) const;
  Error conflictOf(const Play& play, const Conflict& conflict, int owner, bool writes) const;
  Error deadlock() const;

  Status checkOutput(int rank, size_t element, const Memory::Cell& cell, size_t cellElement) const;

  const VerifyOptions& options_;
  const Request request_;
  const int nRanks_;
  const size_t elementBytes_;
  const bool isLL_;
  ValueTable values_;
  std::vector<Rank> ranks_;
  std::vector<LaneState> lanes_;
  std::unordered_map<uint64_t, Fifo> fifos_;
  std::vector<Piece> scratch_, stretch_;
  std::vector<Stretch> sourceAt_, targetAt_;  ///< of the play that is going on
  std::vector<std::vector<Piece>> sources_;
  std::vector<Value> combined_;
  VerifyStats stats_;
};

}  // namespace tutti::algos::verify
