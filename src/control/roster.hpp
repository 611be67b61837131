// Roster: the ranks of a communicator, as the first gather has collected them. Shared by the ranks of one
// process.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "control/link.hpp"
#include "control/peer_info.hpp"

namespace tutti::control {

struct Roster {
  std::vector<PeerInfo> peers;
  std::vector<std::span<const uint8_t>> infos;  ///< borrow from `bytes`
  SharedBytes bytes;
};

/// What one rank puts into the first gather.
Bytes encodeRosterEntry(const PeerInfo& peer, std::span<const uint8_t> info);
/// From the result of the first gather; null if it is not one entry per rank.
std::shared_ptr<const Roster> decodeRoster(const SharedBytes& gatherResult);

}  // namespace tutti::control
