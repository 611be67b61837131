// reduce_scatter_perf: rank r gets share r of the reduction of all ranks' buffers.
#include "common/collective.hpp"

using namespace tutti::perf;

int main(int argc, char** argv) {
  Collective c{.name = "ReduceScatter", .reduces = true};
  c.shape = [](size_t count, size_t size, int ranks) {
    size_t share = sharePerRank(count, size, ranks);
    return Shape{.send = share * ranks, .receive = share, .count = share, .receiveInPlace = share};
  };
  c.algorithmBytes = [](const Shape& s, size_t size, int ranks) {
    return static_cast<double>(s.count * size) * ranks;
  };
  c.busFactor = [](int ranks) { return static_cast<double>(ranks - 1) / ranks; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.send, Source::Input, p.rank, 0}}; };
  c.output = [](const Place& p) {
    return std::vector<Piece>{{0, p.shape.count, Source::Reduced, 0, p.rank * p.shape.count}};
  };
  c.run = [](const Call& k) {
    return ncclReduceScatter(k.send, k.receive, k.count, k.type, k.op, k.comm, k.stream);
  };
  return perfMain(c, argc, argv);
}
