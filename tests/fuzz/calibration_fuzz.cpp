// Feeds a calibration file to the parser: what it takes is plausible, and is read back as written.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "calibration/calibration_file.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tutti::calibration;
  const Fingerprint machine{"M", 1024, 32768};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto saved = parse(text, machine, "file");
  if (!saved.ok()) {
    require(!saved.error().message().empty());
    return 0;
  }
  require(checkPlausible(saved->values).ok());
  applied(tutti::algos::Machine(), saved->values);
  const auto again = parse(textOf(*saved, machine), machine, "file");
  require(again.ok() && again->values == saved->values && again->measuredAt == saved->measuredAt);
  return 0;
}
