// sendrecv_perf: every rank sends to the next and receives from the one before. In place means nothing here,
// it is only timed.
#include "common/collective.hpp"

using namespace tutti::perf;

namespace {

ncclResult_t run(const Call& k) {
  int next = (k.rank + 1) % k.ranks;
  int previous = (k.rank + k.ranks - 1) % k.ranks;
  ncclResult_t result = ncclGroupStart();
  if (result == ncclSuccess) result = ncclSend(k.send, k.count, k.type, next, k.comm, k.stream);
  if (result == ncclSuccess) result = ncclRecv(k.receive, k.count, k.type, previous, k.comm, k.stream);
  ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

}  // namespace

int main(int argc, char** argv) {
  Collective c{.name = "SendRecv", .listsOps = true, .checksInPlace = false};
  c.shape = [](size_t count, size_t, int) { return Shape{.send = count, .receive = count, .count = count}; };
  c.algorithmBytes = [](const Shape& s, size_t size, int) { return static_cast<double>(s.count * size); };
  c.busFactor = [](int) { return 1.0; };
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) {
    return std::vector<Piece>{{0, p.shape.count, Source::Raw, (p.rank + p.ranks - 1) % p.ranks, 0}};
  };
  c.run = run;
  c.configure = [](ncclConfig_t& config) { config.maxP2pPeers = 2; };
  return perfMain(c, argc, argv);
}
