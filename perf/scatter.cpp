// scatter_perf: rank r gets share r of the root's buffer.
#include "common/collective.hpp"
#include "common/library.hpp"

using namespace tutti::perf;

namespace {

ncclResult_t run(const Call& k) {
  if (k.count == 0) return ncclSuccess;
  if (library().scatter)
    return library().scatter(k.send, k.receive, k.count, k.type, k.root, k.comm, k.stream);
  ncclResult_t result = ncclGroupStart();
  for (int r = 0; r < k.ranks && k.rank == k.root && result == ncclSuccess; ++r) {
    const auto* block = static_cast<const unsigned char*>(k.send) + r * k.count * k.elementSize();
    result = ncclSend(block, k.count, k.type, r, k.comm, k.stream);
  }
  if (result == ncclSuccess) result = ncclRecv(k.receive, k.count, k.type, k.root, k.comm, k.stream);
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "Scatter", .rooted = true};
  c.shape = [](size_t count, size_t size, int ranks) {
    size_t share = sharePerRank(count, size, ranks);
    return Shape{.send = share * ranks, .receive = share, .count = share, .receiveInPlace = share};
  };
  c.algorithmBytes = [](const Shape& s, size_t size, int ranks) {
    return static_cast<double>(s.count * size) * ranks;
  };
  c.busFactor = [](int ranks) { return static_cast<double>(ranks - 1) / ranks; };
  c.input = [](const Place& p) {
    if (p.rank != p.root) return std::vector<Piece>{};
    return std::vector<Piece>{{0, p.shape.send, Source::Raw, p.root, 0}};
  };
  c.output = [](const Place& p) {
    return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.root, p.rank * p.shape.count}};
  };
  c.run = run;
  return perfMain(c, argc, argv);
}
