// all_reduce_perf: every rank gets the reduction of all ranks' buffers.
#include "common/collective.hpp"

using namespace tutti::perf;

int main(int argc, char** argv) {
  Collective c{.name = "AllReduce", .reduces = true};
  c.shape = [](size_t count, size_t, int) { return Shape{.send = count, .receive = count, .count = count}; };
  c.algorithmBytes = [](const Shape& s, size_t size, int) { return static_cast<double>(s.count * size); };
  c.busFactor = [](int ranks) { return 2.0 * (ranks - 1) / ranks; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Input, p.rank, 0}}; };
  c.output = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Reduced, 0, 0}}; };
  c.run = [](const Call& k) {
    return ncclAllReduce(k.send, k.receive, k.count, k.type, k.op, k.comm, k.stream);
  };
  return perfMain(c, argc, argv);
}
