// all_gather_perf: every rank gets all ranks' shares one after the other.
#include "common/collective.hpp"

using namespace tutti::perf;

int main(int argc, char** argv) {
  Collective c{.name = "AllGather"};
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
    for (int r = 0; r < p.ranks; ++r) pieces.push_back({r * p.shape.count, p.shape.count, Source::Raw, r, 0});
    return pieces;
  };
  c.run = [](const Call& k) { return ncclAllGather(k.send, k.receive, k.count, k.type, k.comm, k.stream); };
  return perfMain(c, argc, argv);
}
