// Feeds a configuration file to the parser, and every setting in it, and every line of it, to every kind of
// parameter.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/bytes.hpp"
#include "core/conf_file.hpp"
#include "core/log_settings.hpp"
#include "core/param.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void checkRow(const tutti::params::Spec& spec, std::string_view text) {
  using tutti::params::Type;
  auto value = tutti::params::parse(spec, text);
  if (!value.ok()) {
    require(value.error().code() == tutti::Code::InvalidArgument && !value.error().message().empty());
    return;
  }
  if (spec.type == Type::Int || spec.type == Type::Bytes)
    require(value->number >= spec.min && value->number <= spec.max);
  if (spec.type == Type::Bool) require(value->number == 0 || value->number == 1);
  if (spec.type == Type::Enum && value->number >= 0)
    require(spec.choices.find(value->text) != std::string_view::npos);
  // What was understood is understood again from what is shown.
  auto again = tutti::params::parse(spec, value->text);
  require(again.ok() && again->number == value->number && again->text == value->text);
}

void checkText(std::string_view text) {
  for (const auto& spec : tutti::params::table()) checkRow(spec, text);
  if (const auto bytes = tutti::parseBytes(text)) {
    require(*bytes >= 0 && tutti::parseBytes(tutti::formatBytes(*bytes)) == bytes);
  }
  tutti::log::levelFromName(text);
  tutti::log::expandFileName(text, "host", 1);
  require(tutti::log::formatTimestamp(text.substr(0, 64), timespec{1, 999'999'999}).size() < 256);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto file = tutti::parseConf(text, "fuzz.conf");
  for (const auto& entry : file.entries) {
    require(!entry.key.empty() && file.find(entry.key) != nullptr);
    checkText(entry.value);
  }
  checkText(text);
  return 0;
}
