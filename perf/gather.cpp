// gather_perf: the root gets all ranks' shares one after the other; the others' receive buffers stay as they
// are.
#include "common/collective.hpp"
#include "common/library.hpp"

using namespace tutti::perf;

namespace {

ncclResult_t run(const Call& k) {
  if (k.count == 0) return ncclSuccess;
  if (library().gather) return library().gather(k.send, k.receive, k.count, k.type, k.root, k.comm, k.stream);
  ncclResult_t result = ncclGroupStart();
  if (result == ncclSuccess) result = ncclSend(k.send, k.count, k.type, k.root, k.comm, k.stream);
  for (int r = 0; r < k.ranks && k.rank == k.root && result == ncclSuccess; ++r) {
    auto* block = static_cast<unsigned char*>(k.receive) + r * k.count * k.elementSize();
    result = ncclRecv(block, k.count, k.type, r, k.comm, k.stream);
  }
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "Gather", .rooted = true};
  c.shape = [](size_t count, size_t size, int ranks) {
    size_t share = sharePerRank(count, size, ranks);
    return Shape{.send = share, .receive = share * ranks, .count = share, .sendInPlace = share};
  };
  c.algorithmBytes = [](const Shape& s, size_t size, int ranks) {
    return static_cast<double>(s.count * size) * ranks;
  };
  c.busFactor = [](int ranks) { return static_cast<double>(ranks - 1) / ranks; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) {
    std::vector<Piece> pieces;
    for (int r = 0; r < p.ranks && p.rank == p.root; ++r) {
      pieces.push_back({r * p.shape.count, p.shape.count, Source::Raw, r, 0});
    }
    return pieces;
  };
  c.run = run;
  return perfMain(c, argc, argv);
}
