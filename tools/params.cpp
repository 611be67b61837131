// `tutti params`: the parameter table.
#include <nlohmann/json.hpp>

#include "core/bytes.hpp"
#include "core/param.hpp"
#include "parse.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using params::Source;
using params::Spec;
using params::Type;

std::string_view typeName(Type type) {
  switch (type) {
    case Type::Int:
      return "integer";
    case Type::Bool:
      return "boolean";
    case Type::Bytes:
      return "bytes";
    case Type::String:
      return "text";
    case Type::Enum:
      return "choice";
  }
  return "?";
}

std::string takes(const Spec& spec) {
  if (spec.type == Type::Bool) return "0|1";
  if (spec.type == Type::String || spec.type == Type::Enum) return std::string(spec.choices);
  auto show = [&](int64_t value) {
    return spec.type == Type::Bytes ? formatBytes(value) : fmt::format("{}", value);
  };
  bool low = spec.min != INT64_MIN, high = spec.max != INT64_MAX;
  std::string text = low && high ? fmt::format("{}..{}", show(spec.min < 0 ? 0 : spec.min), show(spec.max))
                     : low       ? fmt::format("{}..", show(spec.min < 0 ? 0 : spec.min))
                     : high      ? fmt::format("..{}", show(spec.max))
                                 : "";
  // A fallback that is a word ("auto") is a choice beside the numbers.
  bool word = spec.type == Type::Bytes ? !parseBytes(spec.fallback) : !parseInteger(spec.fallback);
  if (word && !spec.fallback.empty())
    text = fmt::format("{} or {}", spec.fallback, text.empty() ? "a number" : text);
  if (!spec.choices.empty())
    text += text.empty() ? std::string(spec.choices) : fmt::format(" ({})", spec.choices);
  return text;
}

std::string setBy(const params::Value& value) {
  switch (value.source) {
    case Source::Default:
      return "default";
    case Source::Environment:
      return "environment";
    case Source::UserConfFile:
    case Source::SystemConfFile:
      return value.origin.empty() ? "configuration file" : value.origin;
  }
  return "?";
}

nlohmann::json asJson(const Spec& spec, const Result<params::Value>& value) {
  nlohmann::json row = {{"name", spec.name},
                        {"type", typeName(spec.type)},
                        {"default", spec.fallback},
                        {"takes", takes(spec)},
                        {"help", spec.help}};
  if (value.ok()) {
    row["value"] = (*value).text;
    row["set_by"] = setBy(*value);
  } else {
    row["error"] = value.error().message();
  }
  return row;
}

void printText(const Spec& spec, const Result<params::Value>& value, bool details) {
  auto shown = [](std::string_view text) { return text.empty() ? std::string_view("-") : text; };
  if (!value.ok()) {
    fmt::print("{:<32} error: {}\n", spec.name, value.error().message());
  } else if (details) {
    fmt::print("{} = {}\n    {}\n    default {}, {}{}{}; set by: {}\n", spec.name, shown((*value).text),
               spec.help, shown(spec.fallback), typeName(spec.type), takes(spec).empty() ? "" : ": ",
               takes(spec), setBy(*value));
  } else {
    fmt::print("{:<32} {:<12} {:<12} {}\n", spec.name, shown((*value).text), setBy(*value), spec.help);
  }
}

}  // namespace

int paramsMain(int argc, char** argv) {
  CLI::App app{
      "Shows the parameters that Tutti reads from the environment and from NCCL_CONF_FILE, ~/.nccl.conf and "
      "/etc/nccl.conf.",
      "tutti params"};
  std::string name;
  bool all = false, onlySet = false, json = false;
  app.add_option("NAME", name, "only this parameter");
  app.add_flag("--all", all, "with type, default and range of each");
  app.add_flag("--set", onlySet, "only those that are set");
  app.add_flag("--json", json, "as JSON");
  if (auto status = parse(app, "params", argc, argv)) return *status;

  bool found = false, failed = false;
  nlohmann::json rows = nlohmann::json::array();
  if (!json && !all && name.empty())
    fmt::print("{:<32} {:<12} {:<12} {}\n", "name", "value", "set by", "meaning");
  for (const Spec& spec : params::table()) {
    if (!name.empty() && spec.name != name) continue;
    found = true;
    auto value = params::get(spec.name);
    if (!value.ok()) failed = true;
    if (onlySet && value.ok() && (*value).source == Source::Default) continue;
    if (json) {
      rows.push_back(asJson(spec, value));
    } else {
      printText(spec, value, all || !name.empty());
    }
  }
  if (!found && !name.empty()) {
    fmt::print(stderr, "tutti params: there is no parameter '{}'\n", name);
    return kExitUsage;
  }
  if (json) fmt::print("{}\n", rows.dump(2));
  return failed ? kExitFailed : kExitOk;
}

}  // namespace tutti::tools
