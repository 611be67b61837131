// Where each device of a machine is drawn: boxes nested as the devices are.
#pragma once

#include <vector>

#include "topology/graph.hpp"

namespace tutti::topology {

struct Box {
  double x = 0;
  double y = 0;
  double w = 0;
  double h = 0;
  bool shown = false;
  bool container = false;
  double cx() const { return x + w / 2; }
  double cy() const { return y + h / 2; }
};

struct Layout {
  std::vector<Box> boxes;   ///< by graph node
  std::vector<int> parent;  ///< the node it is drawn inside, -1 for none
  std::vector<Box> hosts;   ///< frames, when there are several machines
  Box nvswitch;
  double width = 0;
  double height = 0;
};

Layout layOut(const Graph& graph);

}  // namespace tutti::topology
