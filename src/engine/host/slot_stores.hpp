// SlotStores: how slots that a peer reads are written: with plain stores, or past the caches (non-temporal).
//
// Writing again to lines that a core without a shared cache has read is slow: each plain store first fetches
// the line back, 2 GB/s where non-temporal stores reach 9. Between cores that share a cache it is the other
// way round. Which holds for a pair of ranks is measured when the communicator is made. It may change under
// a running program (the system moves ranks, a hypervisor cores): so now and then two copies to a peer are
// timed, one of each kind, and the kind follows the votes. Only the writer sees a difference, so ranks need
// not agree.
//
// Thread safety: one thread at a time, as the engine.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/clock.hpp"
#include "kernels/host/reduce.hpp"

namespace tutti::engine {

enum class Stores { Plain, Streaming, Auto };

class SlotStores {
 public:
  static constexpr size_t kLeastBytes = 4096;  ///< below, a fence costs more than the stores gain

  SlotStores(int nRanks, int self) : pairs_(static_cast<size_t>(nRanks)), self_(self) {}

  /// For all peers; Auto starts with plain stores and looks.
  void set(Stores stores) {
    for (size_t peer = 0; peer < pairs_.size(); ++peer) set(static_cast<int>(peer), stores);
  }
  /// What was measured of one pair, while the stores are Auto.
  void start(int peer, bool streams) {
    if (pairs_[peer].looks) pairs_[peer].streams = streams;
    updateAny();
  }
  bool streams(int peer) const { return pairs_[peer].streams; }
  /// Whether `bytes` for `peer` (negative: for all) go past the caches: then they are not worked on in place.
  bool streams(int peer, size_t bytes) const {
    return bytes >= kLeastBytes && (peer < 0 ? anyStreams_ : pairs_[peer].streams);
  }

  /// Copies to a slot of ours that `peer` reads (negative: all do). Ordered before later stores.
  void copy(int peer, void* slot, const void* from, size_t bytes) {
    if (bytes < kLeastBytes) return kernels::copy(slot, from, bytes);
    Pair& pair = peer < 0 ? pairs_[self_] : pairs_[peer];
    if (pair.looks && --pair.untilLook <= 0) [[unlikely]]
      return timedCopy(pair, slot, from, bytes);
    copyAs(peer < 0 ? anyStreams_ : pair.streams, slot, from, bytes);
  }

 private:
  static constexpr int kFirstPause = 64;  ///< copies between two looks
  static constexpr int kLongestPause = 4096;
  static constexpr int kVotes = 3;

  struct Pair {
    bool streams = false;
    bool looks = false;
    int8_t votes = 0;  ///< for streaming; negative: for plain stores
    int pause = kFirstPause;
    int untilLook = kFirstPause;
    int64_t plainNs = 0;  ///< of the first copy of a look; the second one follows
    size_t plainBytes = 0;
  };

  void set(int peer, Stores stores) {
    pairs_[peer] = {};
    pairs_[peer].streams = stores == Stores::Streaming;
    pairs_[peer].looks = stores == Stores::Auto;
    updateAny();
  }
  void updateAny() {
    anyStreams_ = std::any_of(pairs_.begin(), pairs_.end(), [](const Pair& p) { return p.streams; });
  }
  static void copyAs(bool streams, void* slot, const void* from, size_t bytes) {
    if (!streams) return kernels::copy(slot, from, bytes);
    kernels::copyStreaming(slot, from, bytes);
    kernels::streamFence();
  }
  void timedCopy(Pair& pair, void* slot, const void* from, size_t bytes) {
    const bool second = pair.plainBytes != 0;
    const int64_t start = nowNs();
    copyAs(second, slot, from, bytes);
    const int64_t ns = nowNs() - start;
    if (!second) {
      pair.plainNs = ns;
      pair.plainBytes = bytes;
      pair.untilLook = 1;
      return;
    }
    note(pair, static_cast<double>(pair.plainNs) / static_cast<double>(pair.plainBytes),
         static_cast<double>(ns) / static_cast<double>(bytes));
  }
  /// Nanoseconds a byte of the two kinds. The reader of plain stores finds them in a cache, if one is shared:
  /// streaming must be much faster to be the better one.
  void note(Pair& pair, double plain, double streaming) {
    const bool forStreaming = 2 * streaming < plain;
    pair.votes = static_cast<int8_t>(std::clamp(pair.votes + (forStreaming ? 1 : -1), -kVotes, kVotes));
    if (forStreaming != pair.streams && std::abs(pair.votes) == kVotes && (pair.votes > 0) == forStreaming) {
      pair.streams = forStreaming;
      updateAny();
    }
    pair.pause = forStreaming == pair.streams ? std::min(2 * pair.pause, kLongestPause) : kFirstPause;
    pair.untilLook = pair.pause;
    pair.plainBytes = 0;
  }

  std::vector<Pair> pairs_;  ///< by peer; at this rank's own place the pair of boards, which all read
  int self_;
  bool anyStreams_ = false;
};

}  // namespace tutti::engine
