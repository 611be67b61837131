// alltoallv_perf: every rank sends another amount to every other. How much: see common/traffic.hpp. In place
// means nothing here.
//
// The count column is the mean per pair of ranks; algbw counts the rank that moves most.
#include <cstdio>
#include <cstdlib>

#include "common/collective.hpp"
#include "common/library.hpp"
#include "common/traffic.hpp"

using namespace tutti;
using namespace tutti::perf;

namespace {

Traffic gTraffic = Traffic::generated(1);  // set once by prepare(), before any thread starts

size_t totalOf(size_t count, size_t elementSize, int ranks) {
  return gTraffic.isMatrix() ? 0 : count * elementSize * static_cast<size_t>(ranks);
}

/// Elements from one rank to another.
size_t amount(int from, int to, size_t count, size_t elementSize, int ranks) {
  return gTraffic.bytes(from, to, ranks, totalOf(count, elementSize, ranks)) / elementSize;
}

/// Where in its send buffer `from` has what goes to `to`.
size_t sendOffset(int from, int to, size_t count, size_t elementSize, int ranks) {
  size_t offset = 0;
  for (int before = 0; before < to; ++before) offset += amount(from, before, count, elementSize, ranks);
  return offset;
}

Shape shapeOf(size_t count, size_t elementSize, int ranks) {
  size_t share = gTraffic.isMatrix() ? 0 : sharePerRank(count, elementSize, ranks);
  size_t total = totalOf(share, elementSize, ranks);
  return {.send = gTraffic.mostSent(ranks, elementSize, total),
          .receive = gTraffic.mostReceived(ranks, elementSize, total),
          .count = share};
}

std::vector<Piece> inputOf(const Place& p) {
  size_t sent = sendOffset(p.rank, p.ranks, p.shape.count, p.elementSize, p.ranks);
  return {{0, sent, Source::Raw, p.rank, 0}};
}

std::vector<Piece> outputOf(const Place& p) {
  std::vector<Piece> pieces;
  size_t at = 0;
  for (int from = 0; from < p.ranks; ++from) {
    size_t count = amount(from, p.rank, p.shape.count, p.elementSize, p.ranks);
    pieces.push_back(
        {at, count, Source::Raw, from, sendOffset(from, p.rank, p.shape.count, p.elementSize, p.ranks)});
    at += count;
  }
  return pieces;
}

ncclResult_t exchange(const Call& k, const std::vector<size_t>& sends, const std::vector<size_t>& receives) {
  const auto* send = static_cast<const unsigned char*>(k.send);
  auto* receive = static_cast<unsigned char*>(k.receive);
  ncclResult_t result = ncclGroupStart();
  for (int r = 0; r < k.ranks && result == ncclSuccess; ++r) {
    if (sends[r] > 0) result = ncclSend(send, sends[r], k.type, r, k.comm, k.stream);
    if (receives[r] > 0 && result == ncclSuccess)
      result = ncclRecv(receive, receives[r], k.type, r, k.comm, k.stream);
    send += sends[r] * k.elementSize();
    receive += receives[r] * k.elementSize();
  }
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

ncclResult_t run(const Call& k) {
  // Amounts of one size are the same in every call: computed once per thread and size, not in the timed
  // calls.
  struct Amounts {
    size_t count = ~size_t{0}, elementSize = 0;
    int rank = -1;
    std::vector<size_t> sends, receives, sendAt, receiveAt;
  };
  thread_local std::vector<Amounts> known;
  if (known.size() < static_cast<size_t>(k.ranks)) known.resize(k.ranks);
  Amounts& amounts = known[k.rank];
  if (amounts.count != k.count || amounts.elementSize != k.elementSize() || amounts.rank != k.rank) {
    amounts = {.count = k.count, .elementSize = k.elementSize(), .rank = k.rank};
    size_t sendAt = 0, receiveAt = 0;
    for (int r = 0; r < k.ranks; ++r) {
      amounts.sends.push_back(amount(k.rank, r, k.count, k.elementSize(), k.ranks));
      amounts.receives.push_back(amount(r, k.rank, k.count, k.elementSize(), k.ranks));
      amounts.sendAt.push_back(sendAt);
      amounts.receiveAt.push_back(receiveAt);
      sendAt += amounts.sends.back();
      receiveAt += amounts.receives.back();
    }
  }
  if (!library().allToAllv) return exchange(k, amounts.sends, amounts.receives);
  return library().allToAllv(k.send, amounts.sends.data(), amounts.sendAt.data(), k.receive,
                             amounts.receives.data(), amounts.receiveAt.data(), k.type, k.comm, k.stream);
}

Status prepare(int ranks, size_t minBytes, size_t maxBytes) {
  TUTTI_ASSIGN(gTraffic, Traffic::fromEnvironment());
  if (!gTraffic.isMatrix()) return {};
  if (ranks > gTraffic.dimension()) {
    return makeError(Code::InvalidArgument, "the traffic matrix is for {} ranks, there are {}",
                     gTraffic.dimension(), ranks);
  }
  if (minBytes != maxBytes) {
    return makeError(Code::InvalidArgument,
                     "with a traffic matrix there is one size: give -b and -e the same value");
  }
  size_t needed = std::max(gTraffic.mostSent(ranks, 1, 0), gTraffic.mostReceived(ranks, 1, 0));
  if (maxBytes < needed) {
    return makeError(Code::InvalidArgument, "the traffic matrix needs -b {0} -e {0} or more, not {1}", needed,
                     maxBytes);
  }
  return {};
}

/// NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY=1: what each rank moves.
void printSummary(const Shape& shape, size_t elementSize, int ranks, double seconds) {
  const char* wanted = std::getenv("NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY");
  if (!wanted || std::atoi(wanted) == 0) return;
  size_t total = totalOf(shape.count, elementSize, ranks);
  std::string mode = gTraffic.isMatrix()
                         ? fmt::format("mode=matrix nranks={} matrix_dim={} scale={:.3f}", ranks,
                                       gTraffic.dimension(), gTraffic.scale())
                         : fmt::format("mode=generated nranks={} total_bytes={} spread={:.3f}", ranks, total,
                                       gTraffic.spread());
  std::printf("# NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY: %s time_usec=%.2f\n", mode.c_str(), seconds * 1e6);
  for (int rank = 0; rank < ranks; ++rank) {
    size_t sent = 0, received = 0;
    for (int peer = 0; peer < ranks; ++peer) {
      sent += gTraffic.bytes(rank, peer, ranks, total);
      received += gTraffic.bytes(peer, rank, ranks, total);
    }
    double bandwidth = static_cast<double>(std::max(sent, received)) * 1e-9 / seconds;
    std::printf("#   rank=%d send_bytes=%zu recv_bytes=%zu alg_bw=%.2f bus_bw=%.2f\n", rank, sent, received,
                bandwidth, bandwidth * (ranks - 1) / ranks);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "AlltoAllv", .checksInPlace = false, .onlyOutOfPlace = true};
  c.shape = shapeOf;
  c.algorithmBytes = [](const Shape& s, size_t size, int) {
    return static_cast<double>(std::max(s.send, s.receive) * size);
  };
  c.busFactor = [](int ranks) { return static_cast<double>(ranks - 1) / ranks; };
  c.input = inputOf;
  c.output = outputOf;
  c.run = run;
  c.prepare = prepare;
  c.afterRow = printSummary;
  return perfMain(c, argc, argv);
}
