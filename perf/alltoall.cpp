// alltoall_perf: rank r gets share r of every rank's buffer. In place means nothing here; where the library
// takes it, it is timed.
#include "common/collective.hpp"
#include "common/library.hpp"

using namespace tutti::perf;

namespace {

ncclResult_t run(const Call& k) {
  if (library().allToAll) return library().allToAll(k.send, k.receive, k.count, k.type, k.comm, k.stream);
  size_t bytes = k.count * k.elementSize();
  ncclResult_t result = ncclGroupStart();
  for (int r = 0; r < k.ranks && result == ncclSuccess; ++r) {
    result =
        ncclSend(static_cast<const unsigned char*>(k.send) + r * bytes, k.count, k.type, r, k.comm, k.stream);
    if (result != ncclSuccess) break;
    result =
        ncclRecv(static_cast<unsigned char*>(k.receive) + r * bytes, k.count, k.type, r, k.comm, k.stream);
  }
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "AlltoAll", .checksInPlace = false, .onlyOutOfPlace = true};
  c.shape = [](size_t count, size_t size, int ranks) {
    size_t share = sharePerRank(count, size, ranks);
    return Shape{.send = share * ranks, .receive = share * ranks, .count = share};
  };
  c.algorithmBytes = [](const Shape& s, size_t size, int ranks) {
    return static_cast<double>(s.count * size) * ranks;
  };
  c.busFactor = [](int ranks) { return static_cast<double>(ranks - 1) / ranks; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.send, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) {
    std::vector<Piece> pieces;
    for (int r = 0; r < p.ranks; ++r) {
      pieces.push_back({r * p.shape.count, p.shape.count, Source::Raw, r, p.rank * p.shape.count});
    }
    return pieces;
  };
  c.run = run;
  return perfMain(c, argc, argv);
}
