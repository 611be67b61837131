// hypercube_perf: an all-gather made of sends and receives along the dimensions of a hypercube; for a power
// of two of ranks.
//
// Step k exchanges with the rank whose number differs in bit k all blocks gathered so far, 2^k of them. algbw
// counts the (ranks - 1) blocks that a rank receives.
#include <cstring>

#include "common/collective.hpp"

using namespace tutti::perf;

namespace {

ncclResult_t run(const Call& k) {
  size_t bytes = k.count * k.elementSize();
  auto* blocks = static_cast<unsigned char*>(k.receive);
  auto* own = blocks + k.rank * bytes;
  int mask = 1 << k.step;
  int first = k.rank & ~(mask - 1);  // of the blocks that are here
  int peer = k.rank ^ mask;
  ncclResult_t result = ncclGroupStart();
  if (result != ncclSuccess) return result;
  const void* source = blocks + first * bytes;
  if (k.step == 0 && own != k.send) {
    // The own block gets to its place beside the first exchange, which reads it where it came from. On a
    // stream the copy must keep the stream's order: a message to oneself does.
    source = k.send;
    if (k.stream == nullptr) {
      std::memcpy(own, k.send, bytes);
    } else {
      result = ncclSend(k.send, k.count, k.type, k.rank, k.comm, k.stream);
      if (result == ncclSuccess) result = ncclRecv(own, k.count, k.type, k.rank, k.comm, k.stream);
    }
  }
  if (k.ranks > 1 && result == ncclSuccess) {
    result = ncclSend(source, k.count * mask, k.type, peer, k.comm, k.stream);
    if (result == ncclSuccess)
      result = ncclRecv(blocks + (first ^ mask) * bytes, k.count * mask, k.type, peer, k.comm, k.stream);
  }
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

int stepsOf(int ranks) {
  int steps = 0;
  while ((1 << steps) < ranks) ++steps;
  return steps > 0 ? steps : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "HyperCube", .opLabel = ""};
  c.shape = [](size_t count, size_t size, int ranks) {
    size_t share = sharePerRank(count, size, ranks);
    return Shape{.send = share, .receive = share * ranks, .count = share, .sendInPlace = share};
  };
  c.algorithmBytes = [](const Shape& s, size_t size, int ranks) {
    return static_cast<double>(s.count * size) * (ranks - 1);
  };
  c.busFactor = [](int) { return 1.0; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) {
    std::vector<Piece> pieces;
    for (int r = 0; r < p.ranks; ++r) pieces.push_back({r * p.shape.count, p.shape.count, Source::Raw, r, 0});
    return pieces;
  };
  c.run = run;
  c.steps = stepsOf;
  c.prepare = [](int ranks, size_t, size_t) -> tutti::Status {
    if ((ranks & (ranks - 1)) == 0) return {};
    return tutti::makeError(tutti::Code::InvalidUsage, "hypercube_perf needs a power of two of ranks, not {}",
                            ranks);
  };
  return perfMain(c, argc, argv);
}
