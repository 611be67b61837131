// Feeds plan files to the reader; what it understands is written and read again, and, where it is the plans
// of all ranks of a small call, verified.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "algos/text.hpp"
#include "algos/verify.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tutti::algos;  // NOLINT
  auto plans = parsePlans(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!plans.ok()) {
    require(plans.error().message().find("line ") != std::string::npos);
    return 0;
  }
  std::string text;
  for (const Plan& plan : *plans) text += toText(plan);
  auto again = parsePlans(text);
  require(again.ok() && *again == *plans);
  VerifyOptions options;
  options.maxPlays = 10'000;
  options.maxCells = 100'000;
  auto status = verifyPlans(*plans, options);
  require(status.ok() || !status.error().message().empty());
  return 0;
}
