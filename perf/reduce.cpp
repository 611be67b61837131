// reduce_perf: the root gets the reduction of all ranks' buffers; the others' receive buffers stay as they
// are.
#include "common/collective.hpp"

using namespace tutti::perf;

int main(int argc, char** argv) {
  Collective c{.name = "Reduce", .reduces = true, .rooted = true};
  c.shape = [](size_t count, size_t, int) { return Shape{.send = count, .receive = count, .count = count}; };
  c.algorithmBytes = [](const Shape& s, size_t size, int) { return static_cast<double>(s.count * size); };
  c.busFactor = [](int) { return 1.0; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Input, p.rank, 0}}; };
  c.output = [](const Place& p) {
    if (p.rank != p.root) return std::vector<Piece>{};
    return std::vector<Piece>{{0, p.shape.count, Source::Reduced, 0, 0}};
  };
  c.run = [](const Call& k) {
    return ncclReduce(k.send, k.receive, k.count, k.type, k.op, k.root, k.comm, k.stream);
  };
  return perfMain(c, argc, argv);
}
