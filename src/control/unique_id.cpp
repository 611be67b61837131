#include "control/unique_id.hpp"

#include <algorithm>
#include <cstring>

#include "control/crypto.hpp"
#include "control/wire.hpp"

namespace tutti::control {
namespace {

constexpr uint8_t kMagic[8] = {'T', 'u', 't', 't', 'i', 'I', 'D', 1};  // the last byte is the version
constexpr size_t kSummed = 120;

}  // namespace

UniqueId UniqueId::encode(const UniqueIdFields& fields) {
  Writer writer;
  writer.raw(kMagic);
  writer.u64(fields.id);
  writer.raw(fields.secret);
  writer.address(fields.address);
  writer.u8(fields.rankZeroRoots ? 1 : 0);
  Bytes body = writer.take();
  body.resize(kSummed);
  UniqueId id;
  std::copy(body.begin(), body.end(), id.bytes.begin());
  const uint64_t sum = hash64(body);
  std::memcpy(id.bytes.data() + kSummed, &sum, sizeof(sum));
  return id;
}

Result<UniqueIdFields> UniqueId::decode() const {
  uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + kSummed, sizeof(sum));
  if (!std::equal(kMagic, kMagic + 7, bytes.begin())) {
    return Error(Code::InvalidArgument,
                 "these 128 bytes are no unique id of this library: was it made by ncclGetUniqueId of this "
                 "library and "
                 "sent to all ranks whole?");
  }
  if (bytes[7] != kMagic[7]) {
    return makeError(
        Code::InvalidArgument,
        "the unique id is of version {}, this library takes {}: do all ranks load the same library?",
        bytes[7], kMagic[7]);
  }
  if (sum != hash64(std::span(bytes).first(kSummed))) {
    return Error(Code::InvalidArgument, "the unique id has been damaged on its way (its checksum is wrong)");
  }
  Reader reader(std::span<const uint8_t>(bytes).subspan(8));
  UniqueIdFields fields;
  fields.id = reader.u64();
  reader.raw(fields.secret);
  fields.address = reader.address();
  fields.rankZeroRoots = reader.u8() == 1;
  if (!reader.ok() || !fields.address.valid())
    return Error(Code::InvalidArgument, "the unique id holds no address");
  return fields;
}

}  // namespace tutti::control
