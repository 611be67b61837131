#include "algos/verify.hpp"

#include "algos/verify_player.hpp"

namespace tutti::algos {

namespace verify {

Status Player::checkLeftovers() const {
  for (const auto& [key, fifo] : fifos_) {
    if (fifo.sent == fifo.taken) continue;
    const Message& message = fifo.slots[fifo.taken % fifo.slots.size()];
    return makeError(Code::InvalidUsage, "{}: nobody takes its message of {} elements to rank {}",
                     where(message.sender), message.count, key & ((1u << 28) - 1));
  }
  for (int r = 0; r < nRanks_; ++r) {
    const Rank& rank = ranks_[r];
    for (int board = 0; board < 2; ++board) {
      for (const Published& slot : rank.boards[board]) {
        for (int peer = 0; slot.seq != 0 && peer < nRanks_; ++peer) {
          if (peer == r || (slot.reader >= 0 && slot.reader != peer)) continue;
          if (ranks_[peer].acks[board][r] >= slot.seq) continue;
          return makeError(
              Code::InvalidUsage,
              "{}: rank {} never reads what is published for it, so the slot could not be used again",
              where(slot.writer), peer);
        }
      }
    }
  }
  return {};
}

/// `element` of the output lies in `cell`, whose first element is `cellElement` of the output.
Status Player::checkOutput(int rank, size_t element, const Memory::Cell& cell, size_t cellElement) const {
  const size_t count = request_.count, n = static_cast<size_t>(nRanks_), own = static_cast<size_t>(rank);
  const size_t origin = cell.origin + (element - cellElement);
  auto says = [&](const std::string& what) {
    std::string by = cell.writer.time == 0 ? "" : fmt::format(", written by {}", where(cell.writer));
    return makeError(Code::InvalidUsage, "rank {}: output element {} {}{}", rank, element, what, by);
  };
  if (cell.value == kNothing) return says("is never written");
  if (algos::reduces(request_.collective)) {
    const size_t wanted = request_.collective == Collective::ReduceScatter ? own * count + element : element;
    if (!values_.complete(cell.value)) return says("holds " + values_.describe(cell.value));
    if (!values_.finished(cell.value)) return says("is not finished: an average would lack its division");
    if (origin != wanted) {
      return says(fmt::format("holds the result of element {}, not of {}", origin, wanted));
    }
    return {};
  }
  size_t from = 0, wanted = 0;
  switch (request_.collective) {
    case Collective::Broadcast:
      from = static_cast<size_t>(request_.root), wanted = element;
      break;
    case Collective::Scatter:
      from = static_cast<size_t>(request_.root), wanted = own * count + element;
      break;
    case Collective::AllToAll:
      from = element / count, wanted = own * count + element % count;
      break;
    case Collective::AllToAllV: {
      size_t left = element;
      auto countOf = [&](size_t s, size_t d) {
        return options_.counts.empty() ? count : options_.counts[s * n + d];
      };
      while (left >= countOf(from, own)) left -= countOf(from++, own);
      for (size_t p = 0; p < own; ++p) wanted += countOf(from, p);
      wanted += left;
      break;
    }
    default:  // AllGather, Gather
      from = element / count, wanted = element % count;
      break;
  }
  if (cell.value != values_.raw(static_cast<int>(from)) || origin != wanted) {
    return says(fmt::format("holds element {} of {}, not element {} of rank {}'s input", origin,
                            values_.describe(cell.value), wanted, from));
  }
  return {};
}

Status Player::checkOutputs() const {
  for (int r = 0; r < nRanks_; ++r) {
    const Rank& rank = ranks_[r];
    const Buffers& b = rank.buffers;
    const Memory& memory = rank.memory[b.aliased ? 0 : 1];
    const size_t at = b.aliased ? b.outputAt : 0;
    for (const Memory::Cell& cell : memory.cells()) {
      if (cell.begin < at || cell.begin >= at + b.output) continue;
      TUTTI_TRY(checkOutput(r, cell.begin - at, cell, cell.begin - at));
      // A cell lies in one block, so what holds for its first element and its last holds for all.
      TUTTI_TRY(checkOutput(r, cell.end - at - 1, cell, cell.begin - at));
    }
  }
  if (request_.collective != Collective::AllReduce) return {};
  auto outputs = [&](int r) { return ranks_[r].memory[ranks_[r].buffers.aliased ? 0 : 1].cells(); };
  const auto first = outputs(0);
  for (int r = 1; r < nRanks_; ++r) {
    const auto other = outputs(r);
    for (size_t i = 0, j = 0; i < first.size() && j < other.size();) {
      if (first[i].value != other[j].value) {
        return makeError(Code::InvalidUsage,
                         "output element {} is not bitwise equal on ranks 0 and {}: {} against {}",
                         std::max(first[i].begin, other[j].begin), r, values_.describe(first[i].value),
                         values_.describe(other[j].value));
      }
      const size_t end = std::min(first[i].end, other[j].end);
      if (first[i].end == end) ++i;
      if (other[j].end == end) ++j;
    }
  }
  return {};
}

}  // namespace verify

Status verifyPlans(std::span<const Plan> plans, const VerifyOptions& options) {
  TUTTI_TRY(verify::checkShape(plans, options));
  verify::Player player(plans, options);
  TUTTI_TRY(player.play());
  TUTTI_TRY(player.checkLeftovers());
  return player.checkOutputs();
}

}  // namespace tutti::algos
