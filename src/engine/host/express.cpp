#include "engine/host/express.hpp"

#include <algorithm>
#include <map>

#include "engine/host/job.hpp"
#include "transport/ll.hpp"

namespace tutti::engine {

using algos::Buffer;
using algos::Order;
using algos::Reads;
using transport::LLLine;

namespace {

constexpr size_t kMostMoves = 64;

bool there(const LLLine* lines, size_t bytes, uint64_t flag) {
  return transport::llCheck(lines, bytes, flag) == transport::LLState::There;
}

/// Nothing but the expected message in its slot will do; all else is for the step player to find out.
bool there(const transport::SlotHeader* header, size_t bytes, const Job& job) {
  return header != nullptr && header->signature == job.signature && header->bytes == bytes &&
         header->carrier == transport::Carrier::Slot;
}

/// The bytes of an LL message: in its line, or put together in `scratch`.
const void* open(const LLLine* lines, size_t bytes, std::byte*& scratch) {
  if (bytes <= transport::kLLLineData) return lines->data;
  std::byte* place = scratch;
  transport::llUnpack(place, lines, bytes);
  scratch += (bytes + 63) / 64 * 64;
  return place;
}

bool waitsForNobody(const algos::Lane& lane) {
  return std::all_of(lane.steps.begin(), lane.steps.end(), [](const algos::Step& step) {
    return step.recvFrom.count == 0 && step.readFrom == Reads::None;
  });
}

}  // namespace

Express::Express(const algos::Plan& plan, transport::Links& links, size_t slotsBelow)
    : ll_(plan.protocol == algos::Protocol::LL) {
  const algos::Request& request = plan.request;
  if (!ll_ && request.bytes() >= slotsBelow) return;
  for (const algos::Lane& lane : plan.lanes) {
    if (plan.rounds(lane) != 1) return;
  }
  if (request.collective == algos::Collective::AllToAllV || plan.scratchBlocks > 0) return;
  if (request.op == ReduceOp::Avg || request.op == ReduceOp::PreMulSum) return;

  const size_t elementBytes = request.elementBytes();
  const size_t blockLines = transport::llLinesFor(plan.publishedBytes());
  boardLines_ = blockLines * static_cast<size_t>(plan.nBlocks);
  std::vector<Move> moves;
  bool sendsOnly = true;
  std::map<int, int> sent;  // messages so far, by peer
  // Lanes play side by side. One that only sends waits for no other, so it may as well come first; more than
  // one other are not for a list.
  std::vector<int> order;
  for (const bool first : {true, false}) {
    for (size_t l = 0; l < plan.lanes.size(); ++l) {
      if (waitsForNobody(plan.lanes[l]) == first) order.push_back(static_cast<int>(l));
    }
  }
  if (order.size() > 1 && !waitsForNobody(plan.lanes[order[order.size() - 2]])) return;
  for (const int l : order) {
    const algos::Lane& lane = plan.lanes[l];
    sendsOnly &= waitsForNobody(lane);
    for (size_t s = 0; s < lane.steps.size(); ++s) {
      const algos::Step& step = lane.steps[s];
      if (step.src.span != 1 || step.dst.span != 1 || moves.size() + step.repeat > kMostMoves) return;
      for (int k = 0; k < step.repeat; ++k) {
        Move move;
        const algos::BlockRef& sized = step.src.buffer != Buffer::None ? step.src : step.dst;
        move.count = plan.extent(lane, 0, sized.index.at(k)).count;
        move.bytes = move.count * elementBytes;
        if (move.bytes == 0 || sized.buffer == Buffer::None) return;
        if (!ll_ && step.publishes && move.bytes > links.geometry().boardBytes) return;
        move.lines = transport::llLinesFor(move.bytes);
        move.src = step.src.buffer;
        move.dst = step.dst.buffer;
        move.srcAt = plan.extent(lane, 0, step.src.index.at(k)).offset * elementBytes;
        move.dstAt = plan.extent(lane, 0, step.dst.index.at(k)).offset * elementBytes;
        for (int i = 0; i < step.recvFrom.count; ++i) {
          const int peer = step.recvFrom.peer[i].at(k);
          move.recv[move.nRecv] = &links.recvEnd(lane.channel, peer);
          move.recvPeer[move.nRecv] = peer;
          if (auto it = sent.find(peer); it != sent.end()) {
            move.back[move.nRecv] = &links.sendEnd(lane.channel, peer);
            move.sentBack[move.nRecv] = it->second;
          }
          ++move.nRecv;
        }
        for (int i = 0; i < step.sendTo.count; ++i) {
          const int peer = step.sendTo.peer[i].at(k);
          move.sendPeer[move.nSend] = peer;
          move.send[move.nSend++] = &links.sendEnd(lane.channel, peer);
          ++sent[peer];
        }
        move.reads = step.readFrom;
        move.readPeer = step.readPeer.at(k);
        move.readAt =
            step.readBlock.at(k) * (ll_ ? blockLines * sizeof(LLLine) : plan.chunkCount * elementBytes);
        move.readChannel = step.readChannel;
        move.publishes = step.publishes;
        move.publishChannel = step.publishChannel;
        move.publishFor = step.publishFor;
        move.reduces = step.reduces;
        move.order = step.order;
        move.lane = l;
        move.step = static_cast<int>(s);
        move.repeat = k;
        const size_t messages = move.nRecv + (move.reads == Reads::All ? links.nRanks() : 0) + 2;
        scratchBytes_ = std::max(scratchBytes_, messages * ((move.bytes + 63) / 64 * 64));
        moves.push_back(move);
      }
    }
  }
  moves_ = std::move(moves);
  onlySends_ = sendsOnly;
  while (leading_ < moves_.size() && moves_[leading_].nRecv == 0 && moves_[leading_].reads == Reads::None)
    ++leading_;
  if (algos::reduces(request.collective)) {
    reduce2_ = kernels::resolve2(request.type, request.op);
    reduceMany_ = kernels::resolveMany(request.type, request.op);
  }
}

inline bool Express::hasCome(const Move& move, int index, const Job& job) const {
  const transport::RecvEnd& end = *move.recv[index];
  return ll_ ? there(end.llSlot(move.lines), move.bytes, transport::llFlag(end.next, job.signature))
             : there(end.peek(), move.bytes, job);
}

inline bool Express::isPublished(const Move& move, int peer, const Job& job, transport::Links& links,
                                 uint64_t boardSlot) const {
  const transport::BoardPeer& other = links.boardPeers()[peer];
  if (!ll_) {
    const transport::SlotHeader* header = transport::peekBoard(other, move.readChannel, boardSlot);
    return header != nullptr && there(header, header->bytes, job);
  }
  const LLLine* lines = other.board[move.readChannel].ll.slot(boardSlot, boardLines_);
  return there(lines + move.readAt / sizeof(LLLine), move.bytes, transport::llFlag(boardSlot, job.signature));
}

int Express::missing(const Move& move, const Job& job, transport::Links& links, uint64_t boardSlot,
                     const ShortWait& wait) const {
  for (int i = 0; i < move.nRecv; ++i) {
    if (!hasCome(move, i, job)) return move.recvPeer[i];
  }
  if (move.reads != Reads::None) {
    auto published = [&](int peer) { return isPublished(move, peer, job, links, boardSlot); };
    if (move.reads == Reads::One) {
      if (!published(move.readPeer)) return move.readPeer;
    } else {
      int missing = kNobody;
      for (int peer = 0; peer < links.nRanks(); ++peer) {
        if (peer == links.rank() || published(peer)) continue;
        missing = peer;
        if (!wait.crowded() || wait.needsThisCore(peer)) break;  // what the wait is about
      }
      if (missing != kNobody) return missing;
    }
  }
  for (int i = 0; i < move.nSend; ++i) {
    if (!(ll_ ? move.send[i]->readyLL(move.lines) : move.send[i]->ready())) return kSomebody;
  }
  if (!move.publishes) return kNobody;
  transport::BoardWriter& writer = links.boardWriter(move.publishChannel);
  const bool room = ll_ ? writer.readyLL(links.boardPeers(), boardSlot, boardLines_)
                        : writer.ready(links.boardPeers(), boardSlot);
  return room ? kNobody : kSomebody;
}

bool Express::matesWait(size_t m, const Job& job, transport::Links& links, uint64_t boardSlot,
                        const ShortWait& wait) const {
  if (moves_[m].reads == Reads::All) return true;  // missing() names a mate before all others
  for (; m < moves_.size(); ++m) {
    const Move& move = moves_[m];
    for (int i = 0; i < move.nRecv; ++i) {
      if (wait.needsThisCore(move.recvPeer[i]) && !hasCome(move, i, job)) return false;
    }
    if (move.reads == Reads::One && wait.needsThisCore(move.readPeer) &&
        !isPublished(move, move.readPeer, job, links, boardSlot)) {
      return false;
    }
    if (move.reads == Reads::All) return false;  // not known
  }
  return true;
}

size_t Express::play(const Job& job, transport::Links& links, uint64_t boardSlot, size_t first, size_t end,
                     ShortWait wait, std::byte* scratchMemory, const void** sources,
                     SlotStores& stores) const {
  for (size_t m = first; m < end; ++m) {
    const Move& move = moves_[m];
    for (int peer; (peer = missing(move, job, links, boardSlot, wait)) != kNobody;) {
      if (!wait.again(peer, wait.crowded() && matesWait(m, job, links, boardSlot, wait))) return m;
    }

    std::byte* scratch = scratchMemory;
    auto buffer = [&](Buffer which) {
      return static_cast<const std::byte*>(which == Buffer::Input ? job.input : job.output);
    };
    std::byte* const dst =
        move.dst == Buffer::None ? nullptr : const_cast<std::byte*>(buffer(move.dst)) + move.dstAt;
    auto local = [&]() -> const void* { return buffer(move.src) + move.srcAt; };
    auto readOff = [&](int peer) -> const void* {
      const transport::BoardView& board = links.boardPeers()[peer].board[move.readChannel];
      if (!ll_) return board.slot(boardSlot) + move.readAt;
      return open(board.ll.slot(boardSlot, boardLines_) + move.readAt / sizeof(LLLine), move.bytes, scratch);
    };
    auto received = [&](int i) -> const void* {
      return ll_ ? open(move.recv[i]->llSlot(move.lines), move.bytes, scratch) : move.recv[i]->slot();
    };

    const void* value = nullptr;
    if (move.reduces) {
      size_t n = 0;
      if (move.reads == Reads::All) {
        for (int peer = 0; peer < links.nRanks(); ++peer)
          sources[n++] = peer == links.rank() ? local() : readOff(peer);
      } else {
        if (move.order == Order::LocalFirst) sources[n++] = local();
        for (int i = 0; i < move.nRecv; ++i) sources[n++] = received(i);
        if (move.order == Order::PeerFirst) sources[n++] = local();
      }
      const bool inSlot = !ll_ && move.nSend > 0 && !stores.streams(move.sendPeer[0], move.bytes);
      void* target = dst != nullptr ? dst : inSlot ? move.send[0]->slot() : scratch;
      if (n == 2) {
        reduce2_(target, sources[0], sources[1], move.count);
      } else {
        reduceMany_(target, sources, static_cast<int>(n), move.count);
      }
      value = target;
    } else if (move.nRecv > 0) {
      value = received(0);
    } else if (move.reads == Reads::One) {
      value = readOff(move.readPeer);
    } else {
      value = local();
    }

    if (dst != nullptr && value != dst) kernels::copy(dst, value, move.bytes);
    for (int i = 0; i < move.nSend; ++i) {
      transport::SendEnd& end = *move.send[i];
      if (ll_) {
        transport::llPack(end.llSlot(move.lines), value, move.bytes,
                          transport::llFlag(end.next, job.signature));
        end.publishLL();
      } else {
        if (value != end.slot()) stores.copy(move.sendPeer[i], end.slot(), value, move.bytes);
        end.publish(move.bytes, job.signature);
      }
    }
    if (move.publishes) {
      transport::BoardWriter& writer = links.boardWriter(move.publishChannel);
      if (ll_) {
        transport::llPack(writer.llSlot(boardSlot, boardLines_), value, move.bytes,
                          transport::llFlag(boardSlot, job.signature));
        writer.publishLL(links.boardPeers(), boardSlot, boardLines_, move.publishFor);
      } else {
        stores.copy(move.publishFor, writer.slot(boardSlot), value, move.bytes);
        writer.publish(links.boardPeers(), boardSlot, move.publishFor,
                       {.bytes = move.bytes, .signature = job.signature});
      }
    }
    for (int i = 0; i < move.nRecv; ++i) {
      move.recv[i]->release();
      if (move.back[i] != nullptr) move.back[i]->sawConsumed(move.back[i]->next - move.sentBack[i]);
    }
    if (move.reads == Reads::One) {
      transport::acknowledge(links.boardPeers()[move.readPeer], move.readChannel, boardSlot);
    } else if (move.reads == Reads::All) {
      for (int peer = 0; peer < links.nRanks(); ++peer) {
        if (peer != links.rank())
          transport::acknowledge(links.boardPeers()[peer], move.readChannel, boardSlot);
      }
      links.boardWriter(move.readChannel).sawConsumed(boardSlot - 1);
    }
  }
  return end;
}

}  // namespace tutti::engine
