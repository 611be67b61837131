// How much the searches did, in steps: tests hold these against limits, for times depend on the machine.
#pragma once

#include <cstdint>

namespace tutti::topology {

struct Work {
  uint64_t tours = 0;      ///< cheapest orders looked for
  uint64_t flows = 0;      ///< max-flows run
  uint64_t flowEdges = 0;  ///< edges of the graphs that they ran on, summed
};

/// Of this thread, since it began. Only ever grows.
inline thread_local Work threadWork;

}  // namespace tutti::topology
