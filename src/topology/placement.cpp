#include "topology/placement.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <numeric>
#include <tuple>

namespace tutti::topology {
namespace {

/// How a host's ranks are sorted: by ring position where there is a ring, by place otherwise.
class HostSorter {
 public:
  HostSorter(const Graph& graph, const RankPlaces& ranks, std::vector<int>& members)
      : graph_(graph), ranks_(ranks), members_(members) {}

  /// Whether the places of the ranks differ in a way that an order can follow.
  bool separated() const {
    bool differ = false;
    for (int r : members_) {
      const RankPlace& p = ranks_.places[r];
      if (p.cpu < 0) return false;
      const RankPlace& first = ranks_.places[members_[0]];
      differ |= std::tuple(p.package, p.numa, p.l3) != std::tuple(first.package, first.numa, first.l3);
    }
    return differ;
  }

  bool onePerGpu() const {
    return !graph_.hostRanks && members_.size() > 2 && members_.size() == graph_.ranks.size();
  }

  /// The i-th rank of the host sits on the i-th GPU of the file.
  void followGpus(const std::vector<int>& ring) {
    std::vector<int> sorted;
    for (int gpu : ring) sorted.push_back(members_[static_cast<size_t>(gpu)]);
    members_ = std::move(sorted);
  }

  void followCores(const std::vector<int>& ring) {
    std::map<int64_t, int> positionOf;  // by CPU
    for (size_t p = 0; p < ring.size(); ++p)
      positionOf[graph_.nodes[graph_.ranks[ring[p]]].id] = static_cast<int>(p);
    bool known = graph_.hostRanks;
    for (int r : members_) known &= positionOf.contains(ranks_.places[r].cpu);
    std::stable_sort(members_.begin(), members_.end(), [&](int a, int b) {
      const RankPlace& x = ranks_.places[a];
      const RankPlace& y = ranks_.places[b];
      if (known) return positionOf[x.cpu] < positionOf[y.cpu];
      return std::tuple(x.package, x.numa, x.l3, x.cpu) < std::tuple(y.package, y.numa, y.l3, y.cpu);
    });
  }

  /// By the first of package, NUMA node and L3 that tells ranks apart.
  std::vector<int> groups() const {
    for (auto level : {&RankPlace::package, &RankPlace::numa, &RankPlace::l3}) {
      std::vector<int> group;
      for (int r : members_) group.push_back(ranks_.places[r].*level);
      if (std::any_of(group.begin(), group.end(), [](int g) { return g < 0; })) continue;
      if (std::any_of(group.begin(), group.end(), [&](int g) { return g != group[0]; })) return group;
    }
    return std::vector<int>(members_.size(), 0);
  }

 private:
  const Graph& graph_;
  const RankPlaces& ranks_;
  std::vector<int>& members_;
};

}  // namespace

std::vector<int> allowedCpusOfThread() {
  for (int count = CPU_SETSIZE; count <= (1 << 16); count *= 2) {
    cpu_set_t* set = CPU_ALLOC(count);
    if (set == nullptr) return {};
    const size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set);
    const bool ok = sched_getaffinity(0, bytes, set) == 0;
    const bool tooSmall = !ok && errno == EINVAL;
    std::vector<int> cpus;
    for (int c = 0; ok && c < count; ++c)
      if (CPU_ISSET_S(c, bytes, set)) cpus.push_back(c);
    CPU_FREE(set);
    if (!tooSmall) return cpus;
  }
  return {};
}

RankPlace placeOf(const HostCores& cores, std::span<const int> allowed) {
  RankPlace place;
  bool first = true;
  for (int cpu : allowed) {
    const HostCore* core = cores.find(cpu);
    if (core == nullptr) continue;
    if (first) {
      place = {core->cpu, core->l3, core->numa, core->package};
      first = false;
    }
    if (place.l3 != core->l3) place.l3 = -1;
    if (place.numa != core->numa) place.numa = -1;
    if (place.package != core->package) place.package = -1;
  }
  if (place.l3 < 0 && place.numa < 0 && place.package < 0) return {};
  return place;
}

uint64_t OrderedRanks::hash() const {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const std::vector<int>* list : {&rankAt, &groupAt})
    for (int v : *list) h = (h ^ static_cast<uint64_t>(v + 1)) * 0x100000001b3ull;
  return h;
}

OrderedRanks orderRanks(const Cluster& cluster, const RankPlaces& ranks,
                        const std::function<std::vector<int>(int kind)>& ringOf) {
  std::vector<std::vector<int>> members(static_cast<size_t>(cluster.hosts()));
  for (size_t r = 0; r < ranks.hostOf.size(); ++r)
    members[static_cast<size_t>(ranks.hostOf[r])].push_back(static_cast<int>(r));
  std::map<int, std::vector<int>> rings;
  auto ring = [&](int kind) -> const std::vector<int>& {
    auto [at, isNew] = rings.try_emplace(kind);
    if (isNew) at->second = ringOf(kind);
    return at->second;
  };
  OrderedRanks result;
  for (int host : machineOrder(cluster)) {
    std::vector<int>& here = members[static_cast<size_t>(host)];
    const int kind = cluster.kindOf[static_cast<size_t>(host)];
    HostSorter sorter(cluster.kinds[static_cast<size_t>(kind)], ranks, here);
    bool grouped = false;
    if (sorter.onePerGpu()) {
      if (ring(kind).size() == here.size()) sorter.followGpus(ring(kind));
    } else if (sorter.separated()) {
      sorter.followCores(ring(kind));
      grouped = true;
    }
    if (cluster.siteNames.size() > 1)
      result.groupAt.insert(result.groupAt.end(), here.size(), cluster.siteOf[static_cast<size_t>(host)]);
    else if (cluster.hosts() > 1)
      result.groupAt.insert(result.groupAt.end(), here.size(), host);
    else if (grouped)
      result.groupAt = sorter.groups();
    else
      result.groupAt.assign(here.size(), 0);
    result.rankAt.insert(result.rankAt.end(), here.begin(), here.end());
  }
  result.byNumber = std::is_sorted(result.rankAt.begin(), result.rankAt.end()) &&
                    std::all_of(result.groupAt.begin(), result.groupAt.end(),
                                [&](int g) { return g == result.groupAt[0]; });
  return result;
}

}  // namespace tutti::topology
