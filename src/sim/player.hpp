// Plays the lanes of all ranks against a network: the discrete-event core. Internal to the room; see
// simulate.hpp.
//
// A lane is idle (waits for something nobody has scheduled yet), or has exactly one event pending. When the
// last thing it waits for gets a time, the end of its play is known, and is the next event; so a play costs
// one event, and a message one for every link but the first of its way.
//
// `Tracked`: stamps carry what the time was spent on.
#pragma once

#include <optional>

#include "sim/big_vector.hpp"
#include "sim/event_queue.hpp"
#include "sim/flat_map.hpp"
#include "sim/program.hpp"
#include "sim/simulate.hpp"

namespace tutti::sim {

template <bool Tracked>
class Player {
 public:
  Player(Network& network, const Workload& workload, const Options& options);
  Result<Report> run();

 private:
  using S = Stamp<Tracked>;
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kMostWays = 8;       ///< that an adaptive connection chooses among
  static constexpr uint32_t kPullChannel = 128;  ///< connections that carry what is read off boards

  static constexpr uint32_t kInLane = 4;
  static constexpr int kInMessage = 9;

  enum class Wait : uint8_t { No, Message, Room, Board, Readers };

  struct Lane {
    uint32_t rank = 0;
    uint32_t item = 0;
    uint32_t program = 0;
    uint32_t peersAt = 0;
    uint32_t round = 0;
    uint32_t k = 0;
    uint16_t step = 0;
    Wait wait = Wait::No;
    bool pulled = false;       ///< what this play reads off boards is here
    uint32_t waitsOn = kNone;  ///< connection, or rank
    uint32_t pulls = 0;
    S clock;  ///< of its latest play, or of the one under way
    /// Connections, by place in the program; where there are more, conn[0] says where they begin in
    /// laneConns_.
    std::array<uint32_t, kInLane> conn{};
  };
  /// One direction between two ranks, one item and channel. Slots hold, in turn, when the message arrives
  /// (kUnknown: under way) and from when on the sender may use the slot again.
  struct Conn {
    uint32_t sent = 0;
    uint32_t taken = 0;
    uint32_t sender = kNone;    ///< lane that waits for room
    uint32_t receiver = kNone;  ///< lane that waits for a message
    uint32_t routesAt = 0;      ///< in routes_: for each way, its length and its links
    uint16_t depth = 0;
    uint8_t ways = 1;
    bool pull = false;
    uint32_t from = 0;
    uint32_t to = 0;
    TimePs back = 0;  ///< until the sender knows that a slot is free
    TimePs flag = 0;  ///< from the last byte to the receiver's knowing
  };
  struct Message {
    uint32_t conn = 0;
    uint16_t left = 0;
    uint16_t slot = 0;
    uint64_t bytes = 0;
    TimePs tail = 0;  ///< when its last byte is past the links so far
    uint16_t next = 0;
    bool chosen = false;  ///< among several ways
    bool isLong = false;  ///< hops[0] says where its links are in routes_
    uint32_t hops[kInMessage];
    S head;  ///< the first byte's time, where tracked
  };
  struct BoardSlot {
    uint32_t sequence = 0;
    uint32_t unread = 0;
    S published;
    S read;
  };
  struct Board {
    BoardSlot slots[2];
    std::vector<uint32_t> readers;  ///< lanes that wait
    uint32_t writer = kNone;
  };

  // Items (player_items.hpp)
  void startAll();
  void startItem(uint32_t rank, uint32_t item, S at);
  void startCall(uint32_t rank, uint32_t item, int position, S at);
  void itemDone(uint32_t rank, uint32_t item, S at);
  void laneDone(uint32_t lane);

  // Plays (player_plays.hpp)
  void tryStart(uint32_t lane);
  bool gates(uint32_t lane, const PlayStep& step, S& ready);
  bool boardGates(Lane& lane, uint32_t index, const PlayStep& step, S& ready);
  void onReady(uint32_t lane, TimePs now);
  void startWork(Lane& lane, uint32_t index, S ready, const PlayStep& step, uint64_t bytes);
  void pull(uint32_t lane, const PlayStep& step);
  void finish(uint32_t lane, TimePs now);
  void fillIn();
  void settleBoards(const Lane& lane, const PlayStep& step);
  bool advance(uint32_t lane);
  uint32_t& connSlot(Lane& lane, uint32_t i) {
    return programs_.lane(lane.program).connections <= kInLane ? lane.conn[i] : laneConns_[lane.conn[0] + i];
  }
  S& slot(uint32_t conn, uint32_t message) {
    return slots_[conn * size_t{depth_} + message % conns_[conn].depth];
  }
  const PlayStep& stepOf(const Lane& lane) const {
    return programs_.step(programs_.lane(lane.program).stepsAt + lane.step);
  }
  uint64_t bytesOf(const Lane& lane, const PlayStep& step) const {
    return programs_.bytes(programs_.lane(lane.program), step, lane.round, static_cast<int>(lane.k),
                           options_.period > 0 || options_.fold > 0);
  }
  /// Where a rank stands in what is kept by rank.
  uint32_t row(uint32_t rank) const { return rank / every_; }
  /// The rank that is played for `rank`.
  uint32_t stand(uint32_t rank) const {
    return options_.period > 0 ? rank % nRanks_ : rank / every_ * every_;
  }

  // Messages (player_messages.hpp)
  void prefetch(const Event& event, bool close) const;
  uint32_t connOf(Lane& lane, const PlayStep& step, int i);
  bool foldPair(uint64_t& item, int64_t& from, int64_t& to);
  uint32_t resolve(const Lane& lane, uint32_t channel, int fromPosition, int toPosition);
  void connect(uint32_t conn, uint64_t key, uint32_t item);
  void send(uint32_t conn, uint16_t slot, uint64_t bytes, S at);
  uint32_t chooseWay(const Conn& conn, uint64_t bytes);
  void traverse(uint32_t message, uint32_t link, TimePs head);
  void arrive(uint32_t message);
  Board& board(uint32_t item, uint32_t rank, uint32_t channel);

  Error deadlock() const;
  std::string where(const Lane& lane) const;
  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }
  TimePs slow(uint32_t rank, TimePs work) const {
    return slowness_.empty() ? work : psFor(static_cast<double>(work), slowness_[rank]);
  }

  Network& network_;
  const Workload& workload_;
  const Options& options_;
  Programs programs_;
  uint32_t every_;      ///< so many ranks' first one is played
  uint32_t nRanks_;     ///< that are played
  uint32_t depth_ = 1;  ///< most slots of any connection
  EventQueue queue_;
  BigVector<Lane> lanes_;
  std::vector<uint32_t> freeLanes_;
  BigVector<uint32_t> laneConns_;
  BigVector<Conn> conns_;
  BigVector<S> slots_;
  BigVector<uint32_t> routes_;
  BigVector<Message> messages_;
  std::vector<uint32_t> freeMessages_;
  std::vector<Board> boards_;
  FlatMap connMap_, boardMap_;
  BigVector<uint16_t> waitsFor_;  ///< by rank and item: items, later lanes, still to be done
  std::vector<std::vector<uint32_t>> dependents_;
  std::vector<double> slowness_;
  std::vector<TimePs> coreFree_;
  std::vector<TimePs> computed_;
  std::vector<TimePs> roundEnds_;  ///< where not all rounds are played
  std::vector<S> timers_;          ///< by rank and item, where tracked
  Route scratch_;
  uint64_t itemsLeft_ = 0;
  S last_;
  Report report_;
  std::optional<Error> error_;
};

}  // namespace tutti::sim
