#include "engine/host/step_player.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transport/ll.hpp"

namespace tutti::engine {

using algos::BlockRef;
using algos::Buffer;
using algos::Extent;
using algos::Order;
using algos::Reads;
using transport::Carrier;
using transport::RecvEnd;
using transport::SendEnd;
using transport::SlotHeader;

StepPlayer::StepPlayer(HostEngine& engine, JobState& state, LaneState& lane)
    : engine_(engine),
      state_(state),
      lane_(lane),
      job_(*state.job),
      plan_(*state.job->plan),
      step_(lane.lane->steps[lane.step]),
      links_(engine.links_),
      k_(lane.repeat),
      elementBytes_(plan_.request.elementBytes()) {
  sized_ = step_.src.buffer != Buffer::None ? &step_.src : &step_.dst;
  chunk_ = extentOf(sized_->buffer, sized_->at(k_, 0));
  bytes_ = chunk_.count * elementBytes_;
  for (int i = 1; i < sized_->span; ++i)
    bytes_ += extentOf(sized_->buffer, sized_->at(k_, i)).count * elementBytes_;
}

Extent StepPlayer::extentOf(Buffer buffer, int block) const {
  if (buffer == Buffer::Scratch) return plan_.scratchExtent(*lane_.lane, lane_.round, block);
  if (job_.vectors.sendCounts == nullptr) return plan_.extent(*lane_.lane, lane_.round, block);
  const bool input = buffer == Buffer::Input;
  const size_t count = input ? job_.vectors.sendCounts[block] : job_.vectors.recvCounts[block];
  const size_t offset = input ? job_.vectors.sendOffsets[block] : job_.vectors.recvOffsets[block];
  const size_t begin = std::min(count, static_cast<size_t>(lane_.round) * plan_.chunkCount);
  return {offset + begin, std::min(plan_.chunkCount, count - begin)};
}

const std::byte* StepPlayer::at(Buffer buffer, size_t element) const {
  const void* base = buffer == Buffer::Input    ? job_.input
                     : buffer == Buffer::Output ? job_.output
                                                : state_.scratch.get();
  return static_cast<const std::byte*>(base) + element * elementBytes_;
}

/// Whether the blocks of `ref` lie one behind the other.
bool StepPlayer::isOnePiece(const BlockRef& ref) const {
  Extent last = extentOf(ref.buffer, ref.at(k_, 0));
  for (int i = 1; i < ref.span; ++i) {
    const Extent next = extentOf(ref.buffer, ref.at(k_, i));
    if (next.count > 0 && last.count > 0 && next.offset != last.offset + last.count) return false;
    if (next.count > 0) last = next;
  }
  return true;
}

uint32_t StepPlayer::signature(bool sending) const {
  if (job_.vectors.sendCounts == nullptr) [[likely]]
    return job_.signature;
  const size_t count =
      sending ? job_.vectors.sendCounts[step_.src.at(k_, 0)] : job_.vectors.recvCounts[step_.dst.at(k_, 0)];
  return (job_.signature ^ static_cast<uint32_t>(count * 0x9e3779b97f4a7c15u >> 32)) | 1;
}

// ----------------------------------------------------------------------------------------------------------------
// gates

namespace {
constexpr size_t kPushBytes = 16 << 10;  // a multiple of every element size
}

bool StepPlayer::sendsReady() {
  for (int i = 0; i < step_.sendTo.count; ++i) {
    const int peer = step_.sendTo.peer[i].at(k_);
    SendEnd& end = links_.sendEnd(lane_.lane->channel, peer);
    if (!(isLL() ? end.readyLL(lines()) : end.ready())) {
      lane_.blockedOn = peer;
      return false;
    }
  }
  if (!step_.publishes) return true;
  transport::BoardWriter& writer = links_.boardWriter(step_.publishChannel);
  const auto& peers = links_.boardPeers();
  if (!(isLL() ? writer.readyLL(peers, boardSlot(), boardLines()) : writer.ready(peers, boardSlot()))) {
    lane_.blockedOn = step_.publishFor;
    return false;
  }
  return true;
}

StepPlayer::Outcome StepPlayer::receivesReady() {
  for (int i = 0; i < step_.recvFrom.count; ++i) {
    const int peer = step_.recvFrom.peer[i].at(k_);
    RecvEnd& end = links_.recvEnd(lane_.lane->channel, peer);
    if (isLL()) {
      switch (transport::llCheck(end.fifo.ll, end.next, job_.signature, lines(), 0, bytes_)) {
        case transport::LLState::There:
          continue;
        case transport::LLState::Foreign:
          return engine_.failMismatch(state_, peer, "");
        case transport::LLState::NotThere:
          break;
      }
    } else if (const SlotHeader* header = end.peek()) {
      if (header->signature == signature(false) && header->bytes == bytes_) continue;
      return engine_.failMismatch(
          state_, peer,
          job_.vectors.sendCounts != nullptr
              ? fmt::format("rank {} expects {} elements of rank {}, which sends another number of them",
                            links_.rank(), job_.vectors.recvCounts[step_.dst.at(k_, 0)], peer)
              : fmt::format("a message of {} bytes came where {} were due", header->bytes, bytes_));
    }
    lane_.blockedOn = peer;
    return Outcome::Blocked;
  }
  return Outcome::Moved;
}

StepPlayer::Outcome StepPlayer::boardReady(int peer) {
  const transport::BoardPeer& board = links_.boardPeers()[peer];
  const uint64_t slot = boardSlot();
  if (isLL()) {
    // Blocks of a published span are packed line-aligned (see distribute), so the wanted one has lines of its
    // own.
    switch (transport::llCheck(board.board[step_.readChannel].ll, slot, job_.signature, boardLines(),
                               step_.readBlock.at(k_) * blockLines(), bytes_)) {
      case transport::LLState::There:
        return Outcome::Moved;
      case transport::LLState::Foreign:
        return engine_.failMismatch(state_, peer, "");
      case transport::LLState::NotThere:
        break;
    }
  } else if (const SlotHeader* header = transport::peekBoard(board, step_.readChannel, slot)) {
    if (header->signature == job_.signature) return Outcome::Moved;
    return engine_.failMismatch(state_, peer, "");
  }
  lane_.blockedOn = peer;
  return Outcome::Blocked;
}

StepPlayer::Outcome StepPlayer::readsReady() {
  if (step_.readFrom == Reads::One) return boardReady(step_.readPeer.at(k_));
  int missing = -1;
  for (int peer = 0; peer < links_.nRanks(); ++peer) {
    if (peer == links_.rank()) continue;
    const Outcome outcome = boardReady(peer);
    if (outcome == Outcome::Moved) continue;
    if (outcome == Outcome::Failed || !engine_.options_.idle.crowded) return outcome;
    // Of several missing ones, one that needs this core is what the wait is about.
    missing = peer;
    if (engine_.cores_.sharesCore(peer)) break;
  }
  if (missing < 0) return Outcome::Moved;
  lane_.blockedOn = missing;
  lane_.matesWait = !engine_.cores_.sharesCore(missing);
  return Outcome::Blocked;
}

// --------------------------------------------------------------------------------------------------------------
// sources

const void* StepPlayer::localSource() {
  const BlockRef& src = step_.src;
  const std::byte* source = at(src.buffer, chunk_.offset);
  const bool scales = src.buffer == Buffer::Input && kernels::needsPreScale(job_.reduction) &&
                      algos::reduces(plan_.request.collective);
  // What is only published may lie in several pieces: distribute() takes them one by one.
  const bool packs = src.span > 1 && (!step_.publishes || step_.sendTo.count > 0) && !isOnePiece(src);
  if (!scales && !packs) return source;
  std::byte* packed = engine_.scratch(nextScratch_++, bytes_);
  size_t done = 0;
  for (int i = 0; i < src.span; ++i) {
    const Extent piece = extentOf(src.buffer, src.at(k_, i));
    if (scales) {
      kernels::preScale(job_.reduction, packed + done, at(src.buffer, piece.offset), piece.count);
    } else {
      kernels::copy(packed + done, at(src.buffer, piece.offset), piece.count * elementBytes_);
    }
    done += piece.count * elementBytes_;
  }
  return packed;
}

/// The bytes of a message, wherever its header says they are. `target`: where they will end up if they are
/// only copied.
const void* StepPlayer::resolve(const SlotHeader& header, int peer, const std::byte* slot, void* target) {
  switch (header.carrier) {
    case Carrier::Slot:
      return slot;
    case Carrier::Direct:
      return reinterpret_cast<const void*>(header.address);
    case Carrier::Shared: {
      auto mapped =
          links_.mapped(peer, header.allocation, header.address, {Deadline::afterMs(10'000), nullptr});
      if (mapped.ok()) return *mapped;
      engine_.fail(std::move(mapped).error());
      return nullptr;
    }
    case Carrier::Remote:
    case Carrier::Pushed:  // never resolved: see alreadyThere()
      break;
  }
  if (target == nullptr) target = engine_.scratch(nextScratch_++, bytes_);
  size_t done = 0;
  while (done < bytes_) {
    iovec local{static_cast<std::byte*>(target) + done, bytes_ - done};
    iovec remote{reinterpret_cast<void*>(header.address + done), bytes_ - done};
    ssize_t got = process_vm_readv(links_.pidOf(peer), &local, 1, &remote, 1, 0);
    if (got <= 0) {
      engine_.fail(makeSystemError(
          errno, "reading rank {}'s memory with process_vm_readv (set TUTTI_CMA_THRESHOLD=off to avoid it)",
          peer));
      return nullptr;
    }
    done += static_cast<size_t>(got);
  }
  return target;
}

const void* StepPlayer::received(int index, void* target) {
  const int peer = step_.recvFrom.peer[index].at(k_);
  RecvEnd& end = links_.recvEnd(lane_.lane->channel, peer);
  if (!isLL()) return resolve(*end.peek(), peer, end.slot(), target);
  if (target == nullptr) target = engine_.scratch(nextScratch_++, bytes_);
  transport::llUnpack(target, end.llSlot(lines()), bytes_);
  return target;
}

const void* StepPlayer::read(int peer, void* target) {
  const transport::BoardPeer& board = links_.boardPeers()[peer];
  const int channel = step_.readChannel;
  const int ordinal = step_.readBlock.at(k_);
  const uint64_t slot = boardSlot();
  const size_t chunkBytes = plan_.chunkCount * elementBytes_;
  if (isLL()) {
    if (target == nullptr) target = engine_.scratch(nextScratch_++, bytes_);
    const size_t first = ordinal * blockLines();
    transport::llUnpack(target, board.board[channel].ll.slot(slot, boardLines()) + first, bytes_);
    return target;
  }
  const SlotHeader& header = board.board[channel].header(slot);
  if (header.carrier == Carrier::Slot) return board.board[channel].slot(slot) + ordinal * chunkBytes;
  const void* first = resolve(header, peer, nullptr, target);
  if (first == nullptr) return nullptr;
  // In place, blocks lie as in the publisher's buffer: as far apart as they are in the plan.
  const size_t apart = plan_.extent(*lane_.lane, lane_.round, ordinal).offset -
                       plan_.extent(*lane_.lane, lane_.round, 0).offset;
  return static_cast<const std::byte*>(first) + apart * elementBytes_;
}

/// Collects the sources of a reduction in their order. False: failed.
bool StepPlayer::gather(void* target) {
  auto& sources = engine_.sources_;
  nSources_ = 0;
  auto push = [&](const void* source) {
    sources[nSources_++] = source;
    return source != nullptr;
  };
  if (step_.readFrom == Reads::All) {
    for (int peer = 0; peer < links_.nRanks(); ++peer) {
      if (!push(peer == links_.rank() ? localSource() : read(peer, nullptr))) return false;
    }
    return true;
  }
  if (step_.order == Order::LocalFirst && !push(localSource())) return false;
  for (int i = 0; i < step_.recvFrom.count; ++i) {
    if (!push(received(i, nullptr))) return false;
  }
  if (step_.order == Order::PeerFirst && !push(localSource())) return false;
  return true;
}

// ---------------------------------------------------------------------------------------------------------------
// places

/// Where the reduction writes: the first place that is memory, so that the others are copies from a warm
/// line.
std::byte* StepPlayer::chooseTarget() {
  if (dst_ != nullptr) return dst_;
  // Not the slots that are written past the caches: they are copied to.
  if (!isLL() && step_.sendTo.count > 0 && !engine_.stores_.streams(step_.sendTo.peer[0].at(k_), bytes_))
    return links_.sendEnd(lane_.lane->channel, step_.sendTo.peer[0].at(k_)).slot();
  if (!isLL() && step_.publishes && step_.sendTo.count == 0 &&
      !engine_.stores_.streams(step_.publishFor, bytes_))
    return links_.boardWriter(step_.publishChannel).slot(boardSlot());
  return engine_.scratch(nextScratch_++, bytes_);
}

/// A plain send of the input, in place. True: done.
bool StepPlayer::sendDirect() {
  if (!state_.directInput || step_.src.buffer != Buffer::Input || step_.recvFrom.count > 0 ||
      step_.sendTo.count != 1 || step_.src.span != 1 || step_.publishes || step_.dst.buffer != Buffer::None) {
    return false;
  }
  const bool p2p = job_.callNumber == 0;
  if (!p2p && plan_.algorithm != algos::Algorithm::Pairwise) return false;
  const int peer = step_.sendTo.peer[0].at(k_);
  SendEnd& end = links_.sendEnd(lane_.lane->channel, peer);
  const uint64_t address = reinterpret_cast<uint64_t>(at(Buffer::Input, chunk_.offset));
  if (links_.route(peer) == transport::Route::Thread) {
    end.publish(bytes_, signature(true), Carrier::Direct, address);
  } else if (links_.route(peer) == transport::Route::Shm && state_.input.shared) {
    end.publish(bytes_, signature(true), Carrier::Shared,
                state_.input.offsetOf(at(Buffer::Input, chunk_.offset)), state_.input.spot.allocation);
  } else if (links_.route(peer) == transport::Route::Shm &&
             plan_.request.bytes() >= engine_.options_.remoteMinBytes) {
    end.publish(bytes_, signature(true), Carrier::Remote, address);
  } else {
    return false;
  }
  for (Outstanding& out : state_.outstanding) {
    if (out.end == &end) {
      out.upTo = end.next;
      return true;
    }
  }
  state_.outstanding.push_back({&end, end.next, 0, peer});
  return true;
}

/// The call returns when what has been published now has been read.
void StepPlayer::noteOutstanding() {
  const int board = step_.publishChannel;
  for (Outstanding& out : state_.outstanding) {
    if (out.end != nullptr || out.board != board || out.reader != step_.publishFor) continue;
    out.upTo = boardSlot();
    return;
  }
  state_.outstanding.push_back({nullptr, boardSlot(), board, step_.publishFor});
}

/// Publishes a buffer in place. True: done.
bool StepPlayer::publishDirect(const void* value, transport::Publication& what) {
  if (isLL() || bytes_ < engine_.options_.directMinBytes) return false;
  Carrier carrier = Carrier::Direct;
  const bool ofInput = step_.src.buffer == Buffer::Input && !step_.reduces;
  if (ofInput ? !state_.directInput : dst_ == nullptr || step_.dst.buffer != Buffer::Output) return false;
  // What came in by a slot has been copied to dst by now; the slot itself is given back.
  const void* place = ofInput ? value : dst_;
  uint64_t address = reinterpret_cast<uint64_t>(place);
  uint32_t allocation = 0;
  if (!links_.allThreads()) {
    const SharedBuffer& buffer = ofInput ? state_.input : state_.output;
    if (!buffer.shared) return false;
    carrier = Carrier::Shared;
    address = buffer.offsetOf(place);
    allocation = buffer.spot.allocation;
  }
  what.carrier = carrier;
  what.address = address;
  what.allocation = allocation;
  const int board = step_.publishChannel;
  const uint64_t slot = boardSlot();
  links_.boardWriter(board).publish(links_.boardPeers(), slot, step_.publishFor, what);
  noteOutstanding();
  return true;
}

/// Copies `value` (packed, or lying in the source buffer for an unscaled local span) to every place that does
/// not hold it yet.
bool StepPlayer::distribute(const void* value) {
  const auto* bytes = static_cast<const std::byte*>(value);
  if (dst_ != nullptr && value != dst_) kernels::copy(dst_, value, bytes_);
  if (scattered_) {
    size_t done = 0;
    for (int i = 0; i < step_.dst.span; ++i) {
      const Extent piece = extentOf(step_.dst.buffer, step_.dst.at(k_, i));
      auto* to = const_cast<std::byte*>(at(step_.dst.buffer, piece.offset));
      kernels::copy(to, bytes + done, piece.count * elementBytes_);
      done += piece.count * elementBytes_;
    }
  }
  for (int i = 0; i < step_.sendTo.count; ++i) {
    SendEnd& end = links_.sendEnd(lane_.lane->channel, step_.sendTo.peer[i].at(k_));
    if (isLL()) {
      transport::llPack(end.llSlot(lines()), value, bytes_, transport::llFlag(end.next, job_.signature));
      end.publishLL();
    } else {
      if (value != end.slot()) engine_.stores_.copy(step_.sendTo.peer[i].at(k_), end.slot(), value, bytes_);
      end.publish(bytes_, signature(true));
    }
  }
  if (!step_.publishes) return true;
  auto& writer = links_.boardWriter(step_.publishChannel);
  const uint64_t slot = boardSlot();
  transport::Publication what{.bytes = bytes_, .signature = job_.signature, .pushed = pushed_};
  if (state_.offersOutput && step_.src.buffer == Buffer::Input && !step_.reduces) {
    what.outCarrier = links_.allThreads() ? Carrier::Direct : Carrier::Shared;
    what.outAddress =
        links_.allThreads() ? reinterpret_cast<uint64_t>(job_.output) : state_.output.offsetOf(job_.output);
    what.outAllocation = links_.allThreads() ? 0 : state_.output.spot.allocation;
  }
  // Nothing is pushed where there are more than kMostOffers ranks.
  const auto everyone = [this] {
    return (~uint64_t{0} >> (kMostOffers - links_.nRanks())) & ~(uint64_t{1} << links_.rank());
  };
  if (pushed_ != 0 && pushed_ == everyone()) {
    what.carrier = Carrier::Pushed;
    writer.publish(links_.boardPeers(), slot, step_.publishFor, what);
    return true;
  }
  if (publishDirect(value, what)) return true;
  const size_t chunkBytes = plan_.chunkCount * elementBytes_;
  const bool packed = step_.src.span == 1 || value != at(step_.src.buffer, chunk_.offset);
  std::byte* place = isLL() ? nullptr : writer.slot(slot);
  size_t apart = chunkBytes;
  if (!isLL() &&
      (step_.src.span == 1 ? bytes_ : chunkBytes * step_.src.span) > links_.geometry().boardBytes) {
    place = engine_.bounce(step_.publishChannel, slot, bytes_);
    if (place == nullptr) return false;
    apart = 0;  // read as a user's buffer would be: the blocks of a split vector lie one behind the other
    what.carrier = links_.allThreads() ? Carrier::Direct : Carrier::Shared;
    what.address = links_.allThreads() ? reinterpret_cast<uint64_t>(place) : 0;
    if (auto spot = links_.share(place, bytes_)) what.allocation = spot->allocation;
    noteOutstanding();  // the memory goes with the engine
  }
  size_t done = 0;
  for (int i = 0; i < step_.src.span; ++i) {
    const Extent piece = step_.src.span == 1 ? chunk_ : extentOf(step_.src.buffer, step_.src.at(k_, i));
    const std::byte* from = packed ? bytes + done : at(step_.src.buffer, piece.offset);
    const size_t length = piece.count * elementBytes_;
    if (isLL()) {
      transport::llPack(writer.llSlot(slot, boardLines()) + i * blockLines(), from, length,
                        transport::llFlag(slot, job_.signature));
    } else if (std::byte* to = place + (apart == 0 ? done : i * apart); from != to) {
      engine_.stores_.copy(step_.publishFor, to, from, length);
    }
    done += length;
  }
  if (isLL()) {
    writer.publishLL(links_.boardPeers(), slot, boardLines(), step_.publishFor);
  } else {
    writer.publish(links_.boardPeers(), slot, step_.publishFor, what);
  }
  return true;
}

/// Reduces the gathered sources, and puts the result also into the outputs that peers have offered.
void StepPlayer::reduceInto(std::byte* target) {
  const auto& sources = engine_.sources_;
  auto reduce = [&](std::byte* to, const void* const* from, size_t count) {
    if (nSources_ == 2) {
      kernels::reduce2(job_.reduction, to, from[0], from[1], count);
    } else {
      kernels::reduceMany(job_.reduction, to, from, static_cast<int>(nSources_), count);
    }
    if (step_.finishes) kernels::finish(job_.reduction, to, count);
  };
  if (step_.readFrom == Reads::All) noteOffers();
  if (pushed_ == 0) return reduce(target, sources.data(), bytes_ / elementBytes_);

  // Piece by piece, so that the copies are made from the L1 cache.
  auto& pieces = engine_.pieces_;
  pieces.resize(nSources_);
  for (size_t done = 0; done < bytes_;) {
    const size_t piece = std::min(kPushBytes, bytes_ - done);
    for (size_t i = 0; i < nSources_; ++i) pieces[i] = static_cast<const std::byte*>(sources[i]) + done;
    reduce(target + done, pieces.data(), piece / elementBytes_);
    for (std::byte* other : engine_.targets_) kernels::copy(other + done, target + done, piece);
    done += piece;
  }
}

/// Learns from the publications of a round who offers its output, and whether everybody does.
void StepPlayer::noteOffers() {
  engine_.targets_.clear();
  if (isLL() || plan_.request.collective != algos::Collective::AllReduce) return;
  const bool pushes = step_.publishes && dst_ != nullptr && links_.nRanks() <= kMostOffers;
  for (int peer = 0; peer < links_.nRanks(); ++peer) {
    if (peer == links_.rank()) continue;
    const SlotHeader& header = links_.boardPeers()[peer].board[step_.readChannel].header(boardSlot());
    if (header.outCarrier == Carrier::Slot) {
      state_.sharedByAll = false;
      continue;
    }
    if (!pushes) continue;
    const size_t at = chunk_.offset * elementBytes_;
    if (header.outCarrier == Carrier::Direct) {
      engine_.targets_.push_back(reinterpret_cast<std::byte*>(header.outAddress) + at);
    } else {
      auto mapped =
          links_.mapped(peer, header.outAllocation, header.outAddress, {Deadline::afterMs(10'000), nullptr});
      if (!mapped.ok()) continue;  // it then takes the result off the board
      engine_.targets_.push_back(*mapped + at);
    }
    pushed_ |= uint64_t{1} << peer;
  }
}

/// Whether the value that this step would copy has been put into its place by the peer.
bool StepPlayer::alreadyThere() const {
  if (isLL() || step_.readFrom != Reads::One || !state_.offersOutput) return false;
  const int peer = step_.readPeer.at(k_);
  const SlotHeader& header = links_.boardPeers()[peer].board[step_.readChannel].header(boardSlot());
  return (header.pushed >> links_.rank() & 1) != 0;
}

/// Gives back what was received and read.
void StepPlayer::release() {
  for (int i = 0; i < step_.recvFrom.count; ++i)
    links_.recvEnd(lane_.lane->channel, step_.recvFrom.peer[i].at(k_)).release();
  skip();
}

/// Acknowledges the boards that this step reads, or would read if its chunk were not empty.
void StepPlayer::skip() {
  if (step_.readFrom == Reads::None) return;
  auto& peers = links_.boardPeers();
  if (step_.readFrom == Reads::One) {
    const int peer = step_.readPeer.at(k_);
    transport::acknowledge(peers[peer], step_.readChannel, boardSlot());
    // A two-shot's second publication says that its writer has read the first ones.
    if (plan_.algorithm == algos::Algorithm::TwoShot && step_.readChannel == 1 && bytes_ > 0) {
      links_.boardWriter(0).sawConsumed(peers, peer, boardSlot());
    }
    return;
  }
  for (int peer = 0; peer < links_.nRanks(); ++peer) {
    if (peer != links_.rank()) transport::acknowledge(peers[peer], step_.readChannel, boardSlot());
  }
}

StepPlayer::Outcome StepPlayer::play() {
  lane_.matesWait = false;
  if (bytes_ == 0 && !carriesEmpty()) {
    skip();
    return Outcome::Moved;
  }
  if (step_.recvFrom.count > 0) {
    if (Outcome outcome = receivesReady(); outcome != Outcome::Moved) return outcome;
  }
  if (step_.readFrom != Reads::None) {
    if (Outcome outcome = readsReady(); outcome != Outcome::Moved) return outcome;
  }
  if ((step_.sendTo.count > 0 || step_.publishes) && !sendsReady()) return Outcome::Blocked;

  if (bytes_ == 0) {
    for (int i = 0; i < step_.sendTo.count; ++i)
      links_.sendEnd(lane_.lane->channel, step_.sendTo.peer[i].at(k_)).publish(0, signature(true));
    release();
    return Outcome::Moved;
  }

  if (step_.dst.buffer != Buffer::None) {
    scattered_ = step_.dst.span > 1 && !isOnePiece(step_.dst);
    if (!scattered_) {
      dst_ = const_cast<std::byte*>(
          at(step_.dst.buffer, extentOf(step_.dst.buffer, step_.dst.at(k_, 0)).offset));
    }
  }
  if (!isLL() && sendDirect()) return Outcome::Moved;
  if (alreadyThere()) {
    release();
    return Outcome::Moved;
  }

  if (step_.reduces) {
    std::byte* target = chooseTarget();
    if (!gather(target)) return Outcome::Failed;
    reduceInto(target);
    if (!distribute(target)) return Outcome::Failed;
  } else {
    const void* value = nullptr;
    if (step_.recvFrom.count > 0) {
      value = received(0, dst_);
    } else if (step_.readFrom == Reads::One) {
      value = read(step_.readPeer.at(k_), dst_);
    } else {
      value = localSource();
    }
    if (value == nullptr) return Outcome::Failed;
    if (!distribute(value)) return Outcome::Failed;
  }
  release();
  return Outcome::Moved;
}

}  // namespace tutti::engine
