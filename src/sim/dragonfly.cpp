// Dragonfly (Kim, Dally, Scott, Abts, 2008), balanced: p machines a router, 2p routers a group, p global
// links a router. Routers of a group are linked all to all; so are groups, by as many links each as there are
// ports. Messages take shortest ways: local, global, local.
#include <algorithm>

#include "sim/fabric.hpp"

namespace tutti::sim {
namespace {

class Dragonfly : public Fabric {
 public:
  Dragonfly(const FabricShape& shape, const AddLink& add) {
    while (static_cast<int64_t>(p_) * a() * (static_cast<int64_t>(a()) * p_ + 1) < shape.machines) ++p_;
    groups_ = (shape.machines + p_ * a() - 1) / (p_ * a());
    copies_ = groups_ > 1 ? std::max(1, a() * p_ / (groups_ - 1)) : 0;
    // A machine's NICs are planes of one router each; a link here stands for one in each plane.
    const double gbps = shape.portGbps * shape.nics;
    first_ = add(gbps, shape.hopUs);
    for (int64_t i = 1; i < static_cast<int64_t>(groups_) * a() * a(); ++i) add(gbps, shape.hopUs);
    global_ = first_ + static_cast<uint32_t>(groups_ * a() * a());
    // Global cables are long: 20 m more are 100 ns.
    for (int64_t i = 0; i < static_cast<int64_t>(groups_) * (groups_ - 1) * copies_; ++i)
      add(gbps, shape.hopUs + 0.1);
  }

  uint64_t ways(Port from, Port to) const override {
    return groupOf(from) == groupOf(to) ? 1 : static_cast<uint64_t>(copies_);
  }

  void route(Port from, Port to, uint64_t way, Route& out) const override {
    const int g = groupOf(from), h = groupOf(to);
    int at = from.machine / p_ % a();
    const int end = to.machine / p_ % a();
    if (g != h) {
      const int leave = routerOf(g, h, static_cast<int>(way));
      if (at != leave) out.push_back(localLink(g, at, leave));
      out.push_back(global_ + static_cast<uint32_t>((g * (groups_ - 1) + towards(g, h)) * copies_) +
                    static_cast<uint32_t>(way));
      at = routerOf(h, g, static_cast<int>(way));
    }
    if (at != end) out.push_back(localLink(h, at, end));
  }

  std::string linkName(uint32_t link) const override {
    if (link >= global_) {
      const int i = static_cast<int>(link - global_);
      const int g = i / copies_ / (groups_ - 1), k = i / copies_ % (groups_ - 1);
      return fmt::format("group {} → group {}, link {}", g, (g + k + 1) % groups_, i % copies_);
    }
    const int i = static_cast<int>(link - first_);
    return fmt::format("group {} router {} → router {}", i / a() / a(), i / a() % a(), i % a());
  }

  std::string describe() const override {
    return fmt::format("dragonfly: {} groups of {} routers, {} machines a router, {} links between groups",
                       groups_, a(), p_, copies_);
  }

 private:
  int a() const { return 2 * p_; }
  int groupOf(Port port) const { return port.machine / (p_ * a()); }
  /// Group h is number .. of those that g is linked to.
  int towards(int g, int h) const { return (h - g - 1 + groups_) % groups_; }
  int routerOf(int g, int h, int way) const { return (way * (groups_ - 1) + towards(g, h)) / p_ % a(); }
  uint32_t localLink(int g, int from, int to) const {
    return first_ + static_cast<uint32_t>((g * a() + from) * a() + to);
  }

  int p_ = 1, groups_ = 1, copies_ = 0;
  uint32_t first_ = 0, global_ = 0;
};

}  // namespace

Result<std::unique_ptr<Fabric>> makeDragonfly(const FabricShape& shape, const Fabric::AddLink& add) {
  return std::unique_ptr<Fabric>(std::make_unique<Dragonfly>(shape, add));
}

std::string_view nameOf(FabricKind kind) {
  constexpr std::string_view kNames[] = {"rail", "clos", "torus", "dragonfly"};
  return kNames[static_cast<int>(kind)];
}

Result<FabricKind> fabricFromName(std::string_view name) {
  for (int k = 0; k < 4; ++k) {
    if (nameOf(static_cast<FabricKind>(k)) == name) return static_cast<FabricKind>(k);
  }
  return makeError(Code::InvalidArgument, "\"{}\" is none of rail, clos, torus, dragonfly", name);
}

Result<std::unique_ptr<Fabric>> makeFabric(const FabricShape& shape, const Fabric::AddLink& add) {
  if (shape.machines < 1 || shape.nics < 1 || !(shape.portGbps > 0) || !(shape.hopUs >= 0) ||
      shape.radix < 2 || !(shape.oversubscription >= 1)) {
    return makeError(Code::InvalidArgument,
                     "no fabric of {} machines with {} NICs of {} GB/s, switches of {} ports, {} us a hop, "
                     "oversubscription {}",
                     shape.machines, shape.nics, shape.portGbps, shape.radix, shape.hopUs,
                     shape.oversubscription);
  }
  switch (shape.kind) {
    case FabricKind::Torus:
      return makeTorus(shape, add);
    case FabricKind::Dragonfly:
      return makeDragonfly(shape, add);
    default:
      return makeFatTree(shape, add);
  }
}

}  // namespace tutti::sim
