#include "sim/network.hpp"

namespace tutti::sim {

void Network::reset() {
  for (Link& link : links_) link.free = link.busy = link.queued = link.promised = 0;
}

Result<std::vector<uint32_t>> Network::find(std::string_view text) const {
  std::vector<uint32_t> found;
  for (uint32_t l = 0; l < links_.size(); ++l) {
    if (linkName(l).find(text) != std::string::npos) found.push_back(l);
  }
  if (!found.empty()) return found;
  std::string some;
  for (uint32_t l = 0; l < links_.size() && l < 4; ++l) some += (l ? "\", \"" : "\"") + linkName(l);
  return makeError(Code::InvalidArgument, "no link's name contains \"{}\"; there are {} links, such as {}\"",
                   text, links_.size(), some);
}

uint32_t Network::addLink(double gbps, double latencyUs, double gapUs) {
  Link link;
  link.psPerByte = gbps > 0 ? psPerByte(gbps) : 0;
  link.latency = psFromUs(latencyUs);
  link.gap = psFromUs(gapUs);
  links_.push_back(link);
  return static_cast<uint32_t>(links_.size() - 1);
}

IdealNetwork::IdealNetwork(int nRanks, const Shape& shape) : nRanks_(nRanks), shape_(shape) {
  links_.reserve(2 * static_cast<size_t>(nRanks));
  for (int r = 0; r < nRanks; ++r) {
    addLink(shape.gbps, shape.latencyUs, shape.gapUs);
    addLink(shape.gbps, 0, shape.gapUs);
  }
}

void IdealNetwork::route(int from, int to, uint64_t, Route& out) const {
  out.push_back(2 * static_cast<uint32_t>(from));
  out.push_back(2 * static_cast<uint32_t>(to) + 1);
}

std::string IdealNetwork::linkName(uint32_t link) const {
  return fmt::format("rank {} {}", link / 2, link % 2 == 0 ? "out" : "in");
}

std::string IdealNetwork::describe() const {
  return fmt::format("{} ranks on ideal links: {} GB/s in and out of each, {} us", nRanks_, shape_.gbps,
                     shape_.latencyUs);
}

}  // namespace tutti::sim
