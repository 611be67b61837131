#include "transport/layout.hpp"

namespace tutti::transport {

namespace {

LLArea llAreaIn(std::byte* memory, const Geometry& g) {
  return {reinterpret_cast<LLLine*>(memory), reinterpret_cast<LLLine*>(memory + Geometry::llSmallRegion()),
          g.llStride()};
}

}  // namespace

FifoView fifoIn(std::byte* memory, const Geometry& g) {
  // REQUIRES depth <= 62: the counter and the headers share the first page.
  FifoView view;
  view.head = reinterpret_cast<Counter*>(memory);
  view.headers = reinterpret_cast<SlotHeader*>(memory + kLineBytes);
  view.ll = llAreaIn(memory + Geometry::kPage, g);
  view.slots = memory + Geometry::kPage + g.llRegion();
  view.depth = g.depth;
  view.slotBytes = g.slotBytes;
  return view;
}

FifoView fifoAt(std::byte* segment, const Geometry& g, int sender, int channel) {
  return fifoIn(
      segment + g.inboxOffset() + (static_cast<size_t>(sender) * kChannels + channel) * g.fifoStride(), g);
}

BoardView boardAt(std::byte* segment, const Geometry& g, int board) {
  std::byte* memory = segment + g.boardsOffset() + board * g.boardStride();
  BoardView view;
  view.headers = reinterpret_cast<SlotHeader*>(memory);
  memory += Geometry::page(sizeof(SlotHeader) * g.boardDepth);
  view.ll = llAreaIn(memory, g);
  view.slots = memory + g.llRegion();
  view.depth = g.boardDepth;
  view.slotBytes = g.boardBytes;
  return view;
}

Counter& ackAt(std::byte* segment, const Geometry& g, int board, int writer) {
  return reinterpret_cast<Counter*>(segment + g.acksOffset())[static_cast<size_t>(board) * g.nRanks + writer];
}

std::atomic<uint64_t>& signalAt(std::byte* segment, const Geometry& g, int sender, int index) {
  return reinterpret_cast<std::atomic<uint64_t>*>(
      segment + g.signalsOffset())[static_cast<size_t>(sender) * kSignals + index];
}

Doorbell& doorbellAt(std::byte* segment, const Geometry& g) {
  return *reinterpret_cast<Doorbell*>(segment + g.doorbellOffset());
}

}  // namespace tutti::transport
