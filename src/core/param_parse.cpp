// Reading one value of the parameter table: pure functions of the row and the text.
#include <algorithm>

#include "core/bytes.hpp"
#include "core/param.hpp"

namespace tutti::params {
namespace {

std::optional<int64_t> parseBool(std::string_view text) {
  if (const auto number = parseInteger(text)) return *number != 0 ? 1 : 0;
  for (std::string_view word : {"true", "yes", "on"}) {
    if (equalsIgnoreCase(text, word)) return 1;
  }
  for (std::string_view word : {"false", "no", "off"}) {
    if (equalsIgnoreCase(text, word)) return 0;
  }
  return std::nullopt;
}

/// The word that stands for -1 ("off", "auto", ...): a default that is not a number, where -1 is in the
/// range.
std::string_view wordForMinusOne(const Spec& spec) {
  const bool number = spec.fallback.empty() || parseBytes(spec.fallback) || parseInteger(spec.fallback);
  return spec.min < 0 && !number ? spec.fallback : std::string_view();
}

std::optional<int64_t> parseNumber(const Spec& spec, std::string_view text) {
  const std::string_view word = wordForMinusOne(spec);
  if (!word.empty() && equalsIgnoreCase(text, word)) return -1;
  const auto integer = parseInteger(text);
  return integer || spec.type == Type::Int ? integer : parseBytes(text);
}

/// Calls visit(index, word) for each word of "a|b|c" until it returns true; whether it did.
template <typename Visit>
bool anyChoice(std::string_view choices, Visit visit) {
  int64_t index = 0;
  for (;;) {
    const size_t bar = choices.find('|');
    if (visit(index++, choices.substr(0, bar))) return true;
    if (bar == choices.npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

std::string spelled(const Spec& spec, int64_t number) {
  return spec.type == Type::Bytes && number >= 0 ? formatBytes(number) : std::to_string(number);
}

}  // namespace

std::string whatItTakes(const Spec& spec) {
  switch (spec.type) {
    case Type::Bool:
      return "0 or 1";
    case Type::Enum: {
      std::string text;
      anyChoice(spec.choices, [&](int64_t index, std::string_view word) {
        text += index == 0 ? "one of " : ", ";
        text += word;
        return false;
      });
      return text;
    }
    case Type::String:
      return spec.choices.empty() ? "text" : std::string(spec.choices);
    case Type::Int:
    case Type::Bytes:
      break;
  }
  std::string text = spec.type == Type::Int ? "a whole number" : "a size in bytes (K, M, G may follow)";
  const std::string_view word = wordForMinusOne(spec);
  if (!word.empty()) text = fmt::format("{}, or {}", word, text);
  const int64_t min = word.empty() ? spec.min : std::max<int64_t>(spec.min, 0);
  if (min != INT64_MIN) text += fmt::format(" from {}", spelled(spec, min));
  text += spec.max != INT64_MAX ? fmt::format(" to {}", spelled(spec, spec.max))
          : min != INT64_MIN    ? " up"
                                : "";
  return text;
}

Result<Value> parse(const Spec& spec, std::string_view text) {
  Value value{&spec, std::string(text)};
  const auto refuse = [&] { return makeError(Code::InvalidArgument, "it takes {}", whatItTakes(spec)); };

  std::optional<int64_t> number = 0;
  switch (spec.type) {
    case Type::String:
      if (spec.check != nullptr && !text.empty()) {
        TUTTI_TRY(spec.check(text));
      }
      return value;
    case Type::Enum:
      if (text.empty() && spec.fallback.empty()) {
        value.number = -1;  // no choice is the default
        return value;
      }
      if (!anyChoice(spec.choices, [&](int64_t index, std::string_view word) {
            if (!equalsIgnoreCase(trimmed(text), word)) return false;
            value.number = index;
            value.text = word;
            return true;
          })) {
        return refuse();
      }
      return value;
    case Type::Bool:
      number = parseBool(trimmed(text));
      break;
    case Type::Int:
    case Type::Bytes:
      number = parseNumber(spec, trimmed(text));
      break;
  }
  if (!number || *number < spec.min || *number > spec.max) return refuse();
  value.number = *number;
  return value;
}

std::string_view nameOf(Type type) {
  constexpr std::string_view kNames[] = {"INT", "BOOL", "BYTES", "STRING", "ENUM"};
  return kNames[static_cast<int>(type)];
}

std::string_view nameOf(Source source) {
  constexpr std::string_view kNames[] = {"default", "environment", "user file", "system file"};
  return kNames[static_cast<int>(source)];
}

}  // namespace tutti::params
