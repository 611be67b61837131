// Express: the way of small calls through the engine. What the step player works out anew for each play of
// each step (blocks, addresses, connections) is worked out once, when the plan is bound.
//
// A plan qualifies when it has one round, one lane besides those that only send, and small messages: then it
// is a short list of moves. The
// list is played from the start to the end with short polls between; at the first wait that takes longer, or
// at anything unusual (a message of another call, a fault), the step player takes over at that very step. So
// Express has no waiting, no errors and no rules of its own.
//
// What a peer sends in a call says that it has finished the calls before, and so has taken all that was sent
// to it in those: the counters that say so too are not asked, which would cost a hand-over each time.
//
// Internal to the host engine. Thread safety: as the engine.
#pragma once

#include <vector>

#include "algos/plan.hpp"
#include "engine/host/core_watch.hpp"
#include "engine/host/cpu_relax.hpp"
#include "engine/host/slot_stores.hpp"
#include "kernels/host/reduce.hpp"
#include "transport/links.hpp"

namespace tutti::engine {

struct Job;

/// One play of one step, resolved.
struct Move {
  size_t bytes = 0;
  size_t count = 0;
  size_t lines = 0;  ///< of an LL message
  algos::Buffer src = algos::Buffer::None;
  algos::Buffer dst = algos::Buffer::None;
  size_t srcAt = 0;  ///< bytes from the buffer's start
  size_t dstAt = 0;
  int nRecv = 0;
  int nSend = 0;
  transport::RecvEnd* recv[algos::Peers::kMax] = {};
  int recvPeer[algos::Peers::kMax] = {};
  transport::SendEnd* send[algos::Peers::kMax] = {};
  int sendPeer[algos::Peers::kMax] = {};
  /// The way back to those whose messages are received, if this call has sent them any before: `sentBack`
  /// messages.
  transport::SendEnd* back[algos::Peers::kMax] = {};
  int sentBack[algos::Peers::kMax] = {};
  algos::Reads reads = algos::Reads::None;
  int readPeer = 0;
  size_t readAt = 0;  ///< bytes from the start of the slot to the wanted block
  int readChannel = 0;
  bool publishes = false;
  int publishChannel = 0;
  int publishFor = -1;
  bool reduces = false;
  algos::Order order = algos::Order::LocalFirst;
  int lane = 0;  ///< of the plan, for the step player
  int step = 0;
  int repeat = 0;
};

/// A wait of a few microseconds, without a look at the clock. A value: each call gets a fresh one.
class ShortWait {
 public:
  /// `crowded`: ranks share cores.
  ShortWait(CoreWatch& cores, bool spins, bool crowded)
      : cores_(cores),
        polls_(spins ? kPolls : 0),
        yields_(spins && crowded ? kYields : 0),
        crowded_(crowded) {}

  bool crowded() const { return crowded_; }
  bool needsThisCore(int peer) const { return cores_.sharesCore(peer); }

  /// Passes a moment; false: it has been enough. `peer`: who is waited for; negative: not known. `matesWait`:
  /// all other ranks of this core wait for others, too; else the core is theirs.
  bool again(int peer, bool matesWait) {
    if (crowded_) {
      if (!noted_) cores_.startWait();
      noted_ = true;
      if (peer < 0 || !matesWait || needsThisCore(peer)) {
        if (yields_-- <= 0 || cores_.yieldsAreDear()) return false;
        cores_.yield();
        polls_ = kPolls;
        return true;
      }
    }
    if (polls_-- <= 0) return false;
    cpuRelax();  // also between the first looks: to ask too often slows the peer's store
    return true;
  }

 private:
  static constexpr int kPolls = 256;  // a few microseconds
  static constexpr int kYields = 16;

  CoreWatch& cores_;
  int polls_;
  int yields_;
  const bool crowded_;
  bool noted_ = false;
};

class Express {
 public:
  Express() = default;
  /// Empty where `plan` does not qualify. REQUIRES that all that the plan needs is connected. `slotsBelow`:
  /// Simple messages of calls of fewer bytes travel in slots, whatever the buffers.
  Express(const algos::Plan& plan, transport::Links& links, size_t slotsBelow);

  bool empty() const { return moves_.empty(); }
  const std::vector<Move>& moves() const { return moves_; }

  /// Plays moves from number `first` on, up to number `end`. Returns the number of the first one that has not
  /// been played: less than `end` where a wait took more than `polls` looks; nothing of that move has been
  /// done then. `scratch`: scratchBytes() bytes.
  size_t play(const Job& job, transport::Links& links, uint64_t boardSlot, size_t first, size_t end,
              ShortWait wait, std::byte* scratch, const void** sources, SlotStores& stores) const;
  /// The number of moves at the start that wait for nobody's data.
  size_t leading() const { return leading_; }
  /// It ends as soon as the messages are on their way; a call that must wait until they have been taken is
  /// not for Express.
  bool onlySends() const { return onlySends_; }
  size_t scratchBytes() const { return scratchBytes_; }

 private:
  static constexpr int kNobody = -1;
  static constexpr int kSomebody = -2;
  /// Whom `move` waits for.
  int missing(const Move& move, const Job& job, transport::Links& links, uint64_t boardSlot,
              const ShortWait& wait) const;

  bool hasCome(const Move& move, int index, const Job& job) const;
  bool isPublished(const Move& move, int peer, const Job& job, transport::Links& links,
                   uint64_t boardSlot) const;
  /// Whether all that the call still needs of ranks of this core has come. A wait for a rank of another core
  /// may then spin.
  bool matesWait(size_t m, const Job& job, transport::Links& links, uint64_t boardSlot,
                 const ShortWait& wait) const;

  bool ll_ = false;
  size_t boardLines_ = 0;  ///< of an LL publication
  std::vector<Move> moves_;
  size_t leading_ = 0;
  bool onlySends_ = false;
  size_t scratchBytes_ = 0;
  kernels::ReduceFn reduce2_ = nullptr;
  kernels::ReduceManyFn reduceMany_ = nullptr;
};

}  // namespace tutti::engine
