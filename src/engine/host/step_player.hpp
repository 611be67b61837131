// StepPlayer: one play of one step. Internal to the host engine.
#pragma once

#include "engine/host/host_engine.hpp"
#include "transport/ll.hpp"

namespace tutti::engine {

/// Short-lived: made for one call of play().
class StepPlayer {
 public:
  using Outcome = HostEngine::Outcome;

  StepPlayer(HostEngine& engine, JobState& state, LaneState& lane);
  Outcome play();

 private:
  algos::Extent extentOf(algos::Buffer buffer, int block) const;
  const std::byte* at(algos::Buffer buffer, size_t element) const;
  bool isOnePiece(const algos::BlockRef& ref) const;
  /// Whether an empty chunk still is a message: of send and receive, and the first one of each pair of a V
  /// form.
  bool carriesEmpty() const {
    return (job_.isP2p() || (job_.vectors.sendCounts != nullptr && lane_.round == 0)) &&
           step_.sendTo.count + step_.recvFrom.count > 0;
  }
  /// Of the messages of this step: those of a V form also say how much the pair exchanges.
  uint32_t signature(bool sending) const;
  bool isLL() const { return plan_.protocol == algos::Protocol::LL; }
  /// Lines of an LL message of this step, of a block of a publication, and of a publication.
  size_t lines() const { return transport::llLinesFor(bytes_); }
  size_t blockLines() const { return transport::llLinesFor(plan_.publishedBytes()); }
  size_t boardLines() const { return blockLines() * static_cast<size_t>(plan_.nBlocks); }
  uint64_t boardSlot() const { return state_.boardBase + static_cast<uint64_t>(lane_.round) + 1; }

  // Gates: is it there? They touch nothing.
  bool sendsReady();
  Outcome receivesReady();
  Outcome readsReady();
  Outcome boardReady(int peer);
  void skip();

  // Sources.
  const void* localSource();
  const void* received(int index, void* target);
  const void* read(int peer, void* target);
  const void* resolve(const transport::SlotHeader& header, int peer, const std::byte* slot, void* target);
  bool gather(void* target);

  // Places.
  std::byte* chooseTarget();
  bool distribute(const void* value);
  bool sendDirect();
  bool publishDirect(const void* value, transport::Publication& what);
  void noteOutstanding();
  void noteOffers();
  bool alreadyThere() const;
  void reduceInto(std::byte* target);
  void release();

  HostEngine& engine_;
  JobState& state_;
  LaneState& lane_;
  const Job& job_;
  const algos::Plan& plan_;
  const algos::Step& step_;
  transport::Links& links_;
  const int k_;
  const size_t elementBytes_;
  const algos::BlockRef* sized_;  ///< the block reference that says how long the chunk is
  algos::Extent chunk_;           ///< its first block's
  size_t bytes_ = 0;              ///< of the whole span, packed
  std::byte* dst_ = nullptr;      ///< where the value goes, if that is one piece of memory
  bool scattered_ = false;        ///< it goes to several
  size_t nextScratch_ = 0;
  size_t nSources_ = 0;
  uint64_t pushed_ = 0;  ///< ranks into whose outputs the result has been put
};

}  // namespace tutti::engine
