// broadcast_perf: every rank gets the root's buffer.
#include "common/collective.hpp"

using namespace tutti::perf;

int main(int argc, char** argv) {
  Collective c{.name = "Broadcast", .rooted = true};
  c.shape = [](size_t count, size_t, int) { return Shape{.send = count, .receive = count, .count = count}; };
  c.algorithmBytes = [](const Shape& s, size_t size, int) { return static_cast<double>(s.count * size); };
  c.busFactor = [](int) { return 1.0; };
  // Every rank fills its send buffer: what the others hold must not matter.
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.root, 0}}; };
  c.run = [](const Call& k) {
    return ncclBroadcast(k.send, k.receive, k.count, k.type, k.root, k.comm, k.stream);
  };
  return perfMain(c, argc, argv);
}
