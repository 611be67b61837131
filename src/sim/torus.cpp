// Torus: each machine has two links per dimension. Messages go dimension by dimension, the shorter way round;
// the ways of a pair differ in the dimension that they begin with.
#include <algorithm>
#include <cmath>

#include "sim/fabric.hpp"

namespace tutti::sim {
namespace {

/// Three lengths whose product is `machines`, as near to each other as its divisors allow.
std::vector<int> cubeOf(int machines) {
  std::vector<int> best = {machines};
  int bestSum = machines + 2;
  for (int a = 1; a * a * a <= machines; ++a) {
    if (machines % a != 0) continue;
    for (int b = a; b * b <= machines / a; ++b) {
      if (machines / a % b != 0) continue;
      const int c = machines / a / b;
      if (a + b + c >= bestSum) continue;
      bestSum = a + b + c;
      best = {a, b, c};
    }
  }
  best.erase(std::remove(best.begin(), best.end(), 1), best.end());
  return best.empty() ? std::vector<int>{1} : best;
}

class Torus : public Fabric {
 public:
  Torus(const FabricShape& shape, std::vector<int> lengths, const AddLink& add)
      : lengths_(std::move(lengths)),
        gbps_(shape.portGbps * shape.nics / (2.0 * static_cast<double>(lengths_.size()))) {
    first_ = add(gbps_, shape.hopUs);
    for (size_t i = 1; i < static_cast<size_t>(shape.machines) * lengths_.size() * 2; ++i)
      add(gbps_, shape.hopUs);
  }

  uint64_t ways(Port, Port) const override { return lengths_.size(); }

  void route(Port from, Port to, uint64_t way, Route& out) const override {
    const int dims = static_cast<int>(lengths_.size());
    int at = from.machine;
    for (int i = 0; i < dims; ++i) {
      const int d = (static_cast<int>(way) + i) % dims;
      const int length = lengths_[d];
      const int stride = strideOf(d);
      const int ahead = (to.machine / stride % length - at / stride % length + length) % length;
      const bool forward = 2 * ahead <= length;
      for (int hops = forward ? ahead : length - ahead; hops > 0; --hops) {
        out.push_back(first_ + static_cast<uint32_t>((at * dims + d) * 2 + (forward ? 0 : 1)));
        const int here = at / stride % length;
        at += ((here + (forward ? 1 : length - 1)) % length - here) * stride;
      }
    }
  }

  std::string linkName(uint32_t link) const override {
    const int i = static_cast<int>(link - first_);
    const int dims = static_cast<int>(lengths_.size());
    return fmt::format("node {} {}{}", i / 2 / dims, i % 2 == 0 ? '+' : '-', "xyzuvw"[i / 2 % dims]);
  }

  std::string describe() const override {
    return fmt::format("torus {}, {:.1f} GB/s a link", fmt::join(lengths_, "x"), gbps_);
  }

 private:
  int strideOf(int dimension) const {
    int stride = 1;
    for (int d = 0; d < dimension; ++d) stride *= lengths_[d];
    return stride;
  }

  std::vector<int> lengths_;
  double gbps_;
  uint32_t first_ = 0;
};

}  // namespace

Result<std::unique_ptr<Fabric>> makeTorus(const FabricShape& shape, const Fabric::AddLink& add) {
  std::vector<int> lengths = shape.torus.empty() ? cubeOf(shape.machines) : shape.torus;
  int64_t product = 1;
  for (int l : lengths) {
    if (l < 1) return makeError(Code::InvalidArgument, "a torus has no length of {}", l);
    product *= l;
    if (product > 1 << 24) break;
  }
  if (lengths.size() > 6 || product != shape.machines)
    return makeError(Code::InvalidArgument, "a torus of {} has {} machines, not {}", fmt::join(lengths, "x"),
                     product, shape.machines);
  return std::unique_ptr<Fabric>(std::make_unique<Torus>(shape, std::move(lengths), add));
}

}  // namespace tutti::sim
