// Feeds bytes to everything that reads them off a connection: the handshake, frame headers, each message,
// unique ids, rosters. What decodes must encode to bytes that decode to the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "control/roster.hpp"
#include "control/unique_id.hpp"
#include "control/wire.hpp"

namespace {

using namespace tutti::control;

void require(bool holds) {
  if (!holds) std::abort();
}

template <typename Decode>
void roundTrip(std::span<const uint8_t> bytes, Decode decode) {
  const auto message = decode(bytes);
  if (!message) return;
  const Bytes again = encode(*message);
  const auto back = decode(std::span<const uint8_t>(again));
  require(back.has_value() && encode(*back) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> rest(data + 1, size - 1);
  switch (data[0] % 23) {
    case 0:
      roundTrip(rest, decodeCheckIn);
      break;
    case 1:
      roundTrip(rest, decodeRelay);
      break;
    case 2:
      roundTrip(rest, decodeWelcome);
      break;
    case 3:
      roundTrip(rest, decodeReady);
      break;
    case 4:
      roundTrip(rest, decodeJoinFail);
      break;
    case 5:
      roundTrip(rest, decodeJoinDone);
      break;
    case 6:
      roundTrip(rest, decodeLink);
      break;
    case 7:
      roundTrip(rest, decodeGather);
      break;
    case 8:
      roundTrip(rest, decodeFault);
      break;
    case 9:
      roundTrip(rest, decodeLeft);
      break;
    case 10:
      roundTrip(rest, decodeProbe);
      break;
    case 11:
      roundTrip(rest, decodeSurvey);
      break;
    case 12:
      roundTrip(rest, decodeSurveyReply);
      break;
    case 13:
      roundTrip(rest, decodeStream);
      break;
    case 14:
      roundTrip(rest, decodeFetch);
      break;
    case 15:
      roundTrip(rest, decodeFetchReply);
      break;
    case 16:
      roundTrip(rest, decodeStreamAck);
      break;
    case 17:
      if (const auto hello = decodeHello(rest)) require(decodeHello(encodeHello(*hello)).has_value());
      break;
    case 18:
      (void)decodeChallenge(rest);
      break;
    case 19:
      if (const auto header = decodeHeader(rest)) require(header->length <= maxPayload(header->type));
      break;
    case 20: {
      UniqueId id;
      std::memcpy(id.bytes.data(), rest.data(), std::min(rest.size(), id.bytes.size()));
      if (const auto fields = id.decode(); fields.ok())
        require(UniqueId::encode(fields.value()).decode().ok());
      break;
    }
    case 21:
      (void)decodeRoster(share(Bytes(rest.begin(), rest.end())));
      break;
    default:
      (void)matchesInterfaceList("eth0", {reinterpret_cast<const char*>(rest.data()), rest.size()});
      break;
  }
  return 0;
}
