#include "control/roster.hpp"

#include "control/wire.hpp"

namespace tutti::control {

Bytes encodeRosterEntry(const PeerInfo& peer, std::span<const uint8_t> info) {
  Writer writer;
  writer.peer(peer);
  writer.blob(info);
  return writer.take();
}

std::shared_ptr<const Roster> decodeRoster(const SharedBytes& gatherResult) {
  const auto message = decodeGather(*gatherResult);
  if (!message) return nullptr;
  auto roster = std::make_shared<Roster>();
  roster->bytes = gatherResult;
  roster->peers.reserve(message->entries.size());
  roster->infos.reserve(message->entries.size());
  for (const GatherEntry& entry : message->entries) {
    if (entry.rank != roster->peers.size()) return nullptr;
    Reader reader(entry.data);
    roster->peers.push_back(reader.peer());
    roster->infos.push_back(reader.blob(entry.data.size()));
    if (!reader.done()) return nullptr;
  }
  return roster;
}

}  // namespace tutti::control
