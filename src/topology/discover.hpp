// The machine one stands on. The only part of this room that touches the world; it does so through drivers/,
// each of which tests can replace. What cannot be read is a warning with its consequence, never a silent
// guess.
#pragma once

#include <string>
#include <vector>

#include "topology/drivers/nvml.hpp"
#include "topology/drivers/verbs.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::topology {

struct DiscoverOptions {
  std::string root;              ///< put before /sys and /proc (tests); empty for this machine
  std::vector<int> allowedCpus;  ///< empty: by the process's affinity, or all online under another root
  NvmlDriver* nvml = nullptr;    ///< nullptr: opened at run time
  VerbsDriver* verbs = nullptr;  ///< nullptr: opened at run time
  bool useHwloc = true;          ///< caches and NUMA from hwloc where it can be opened; else from sysfs
};

/// Never fails for what is missing; an error means that not even a core can be found.
Result<Topology> discover(const DiscoverOptions& options = {});

/// Adds measured core-to-core latencies to a graph of this machine (up to `maxPairs` pairs, two milliseconds
/// each).
Status measureLatencies(Graph& graph, int maxPairs = 64);

/// Fills the bare <pci> entries of a file (no <gpu>, no <net> inside) from what was probed, by bus id.
void completeFromProbe(XmlElement& file, const XmlElement& probed);

}  // namespace tutti::topology
