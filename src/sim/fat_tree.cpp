// Fat trees of two or three levels (Clos networks): leaf switches, above them one spine per uplink of a leaf;
// where there are more leaves than a spine has ports, spines serve pods of leaves, and planes of cores join
// the pods.
#include <algorithm>

#include "sim/fabric.hpp"

namespace tutti::sim {
namespace {

class FatTree : public Fabric {
 public:
  FatTree(const FabricShape& shape, const AddLink& add)
      : rails_(shape.kind == FabricKind::RailTree), shape_(shape) {
    const int down = std::max(1, shape.radix / 2);
    // Ports of a leaf that machines take.
    machinesPerLeaf_ = std::max(1, rails_ ? down : down / shape.nics);
    int groups = (shape.machines + machinesPerLeaf_ - 1) / machinesPerLeaf_;
    if (!shape.leafOf.empty()) groups = *std::max_element(shape.leafOf.begin(), shape.leafOf.end()) + 1;
    groups_ = groups;
    const int perGroup = rails_ ? shape.nics : 1;
    // Two levels reach as many leaves as a spine has ports.
    leavesPerPod_ = groups * perGroup <= shape.radix ? groups * perGroup : down;
    if (shape.railOnly && rails_ && groups <= shape.radix) leavesPerPod_ = groups;
    if (shape.railOnly && rails_) groups_ = (groups + leavesPerPod_ - 1) / leavesPerPod_ * leavesPerPod_;
    leaves_ = groups_ * perGroup;
    pods_ = (leaves_ + leavesPerPod_ - 1) / leavesPerPod_;
    const double ports = rails_ ? machinesPerLeaf_ : static_cast<double>(machinesPerLeaf_) * shape.nics;
    spines_ = std::max(1, static_cast<int>(ports / shape.oversubscription));
    cores_ = pods_ > 1 ? leavesPerPod_ : 0;
    const double upGbps = shape.portGbps * ports / shape.oversubscription / spines_;
    first_ = add(upGbps, shape.hopUs);
    for (int64_t i = 1; i < int64_t{2} * leaves_ * spines_; ++i) add(upGbps, shape.hopUs);
    top_ = first_ + 2 * static_cast<uint32_t>(leaves_) * static_cast<uint32_t>(spines_);
    for (int64_t i = 0; i < int64_t{2} * pods_ * spines_ * cores_; ++i) add(upGbps, shape.hopUs);
  }

  uint64_t ways(Port from, Port to) const override {
    const int a = leafOf(from), b = leafOf(to);
    if (a == b) return 1;
    const auto spines = static_cast<uint64_t>(spines_);
    return a / leavesPerPod_ == b / leavesPerPod_ ? spines : spines * static_cast<uint64_t>(cores_);
  }

  void route(Port from, Port to, uint64_t way, Route& out) const override {
    const int a = leafOf(from), b = leafOf(to);
    if (a == b) return;
    const int spine = static_cast<int>(way % static_cast<uint64_t>(spines_));
    const int podA = a / leavesPerPod_, podB = b / leavesPerPod_;
    out.push_back(leafLink(a, spine));
    if (podA != podB) {
      const int core = static_cast<int>(way / static_cast<uint64_t>(spines_));
      out.push_back(coreLink(podA, spine, core));
      out.push_back(coreLink(podB, spine, core) + 1);
    }
    out.push_back(leafLink(b, spine) + 1);
  }

  std::string linkName(uint32_t link) const override {
    const bool atTop = link >= top_;
    const uint32_t i = link - (atTop ? top_ : first_);
    const bool isDown = i % 2 == 1;
    const uint32_t up = i / 2;
    std::string low, high;
    if (atTop) {
      const uint32_t core = up % static_cast<uint32_t>(cores_), pair = up / static_cast<uint32_t>(cores_);
      const uint32_t spine = pair % static_cast<uint32_t>(spines_),
                     pod = pair / static_cast<uint32_t>(spines_);
      low = fmt::format("pod {} spine {}", pod, spine);
      high = fmt::format("core {}.{}", spine, core);
    } else {
      const uint32_t spine = up % static_cast<uint32_t>(spines_);
      const int leaf = static_cast<int>(up / static_cast<uint32_t>(spines_));
      low = leafName(leaf);
      high = pods_ > 1 ? fmt::format("pod {} spine {}", leaf / leavesPerPod_, spine)
                       : fmt::format("spine {}", spine);
    }
    return isDown ? fmt::format("{} → {}", high, low) : fmt::format("{} → {}", low, high);
  }

  std::string describe() const override {
    return fmt::format(
        "{} of {} levels: {} leaves, {} spines {}{}{}", rails_ ? "rail-optimised fat tree" : "Clos network",
        pods_ > 1 ? 3 : 2, leaves_, spines_, pods_ > 1 ? "a pod" : "in all",
        pods_ > 1 ? fmt::format(", {} pods, {} cores", pods_, spines_ * cores_) : "",
        shape_.oversubscription > 1 ? fmt::format(", {}:1 oversubscribed", shape_.oversubscription) : "");
  }

 private:
  int leafOf(Port p) const {
    const int group = shape_.leafOf.empty() ? p.machine / machinesPerLeaf_ : shape_.leafOf[p.machine];
    if (!rails_) return group;
    return shape_.railOnly ? p.nic * groups_ + group : group * shape_.nics + p.nic;
  }
  std::string leafName(int leaf) const {
    if (!rails_) return fmt::format("leaf {}", leaf);
    const int rail = shape_.railOnly ? leaf / groups_ : leaf % shape_.nics;
    const int group = shape_.railOnly ? leaf % groups_ : leaf / shape_.nics;
    return fmt::format("leaf {} rail {}", group, rail);
  }
  uint32_t leafLink(int leaf, int spine) const {
    return first_ + 2 * static_cast<uint32_t>(leaf * spines_ + spine);
  }
  uint32_t coreLink(int pod, int spine, int core) const {
    return top_ + 2 * static_cast<uint32_t>((pod * spines_ + spine) * cores_ + core);
  }

  bool rails_;
  FabricShape shape_;
  int machinesPerLeaf_ = 1, groups_ = 1, leaves_ = 1, leavesPerPod_ = 1, pods_ = 1, spines_ = 1, cores_ = 0;
  uint32_t first_ = 0, top_ = 0;
};

}  // namespace

Result<std::unique_ptr<Fabric>> makeFatTree(const FabricShape& shape, const Fabric::AddLink& add) {
  return std::unique_ptr<Fabric>(std::make_unique<FatTree>(shape, add));
}

}  // namespace tutti::sim
