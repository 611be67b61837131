#include "core/log_settings.hpp"

#include <span>

#include "core/bytes.hpp"

namespace tutti::log {
namespace {

struct Name {
  std::string_view text;
  uint64_t bits;
};

constexpr Name kSubsystems[] = {
    {"INIT", Init},
    {"COLL", Coll},
    {"P2P", P2p},
    {"SHM", Shm},
    {"NET", Net},
    {"GRAPH", Graph},
    {"TUNING", Tuning},
    {"ENV", Env},
    {"ALLOC", Alloc},
    {"CALL", Call},
    {"PROXY", Proxy},
    {"NVLS", Nvls},
    {"BOOTSTRAP", Bootstrap},
    {"REG", Reg},
    {"PROFILE", Profile},
    {"RAS", Ras},
    {"ALL", All},
};

constexpr uint64_t bitOf(Level level) {
  return 1ull << static_cast<int>(level);
}

// ATTN is a level of newer versions of NCCL, between WARN and INFO; here its lines are warnings.
constexpr Name kLevels[] = {
    {"VERSION", bitOf(Level::Version)},
    {"WARN", bitOf(Level::Warn)},
    {"ATTN", bitOf(Level::Warn)},
    {"INFO", bitOf(Level::Info)},
    {"ABORT", bitOf(Level::Abort)},
    {"TRACE", bitOf(Level::Trace)},
    {"ALL", ~0ull},
};

Result<uint64_t> parseList(std::string_view text, std::span<const Name> names) {
  text = trimmed(text);
  const bool inverted = !text.empty() && text[0] == '^';
  if (inverted) text.remove_prefix(1);
  uint64_t mask = 0;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view word = trimmed(text.substr(0, comma));
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    if (word.empty()) continue;
    bool found = false;
    for (const Name& name : names) {
      if (!equalsIgnoreCase(word, name.text)) continue;
      mask |= name.bits;
      found = true;
    }
    if (found) continue;
    std::string known;
    for (const Name& name : names) known += fmt::format(" {}", name.text);
    return makeError(Code::InvalidArgument, "\"{}\" is none of{}", word, known);
  }
  return inverted ? ~mask : mask;
}

}  // namespace

Result<uint64_t> parseSubsystems(std::string_view text) {
  return parseList(text, kSubsystems);
}

Result<uint32_t> parseLevels(std::string_view text) {
  TUTTI_ASSIGN(const uint64_t mask, parseList(text, kLevels));
  return static_cast<uint32_t>(mask);
}

Status checkSubsystems(std::string_view text) {
  TUTTI_TRY(parseSubsystems(text));
  return {};
}

Status checkLevels(std::string_view text) {
  TUTTI_TRY(parseLevels(text));
  return {};
}

Level levelFromName(std::string_view name) {
  for (const Name& level : kLevels) {
    if (level.bits == ~0ull || !equalsIgnoreCase(name, level.text)) continue;
    return static_cast<Level>(__builtin_ctzll(level.bits));
  }
  return Level::None;
}

std::string expandFileName(std::string_view pattern, std::string_view host, int pid) {
  std::string name;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 'h') {
      name += host;
    } else if (next == 'p') {
      name += std::to_string(pid);
    } else if (next == '%') {
      name += '%';
    } else {
      name += pattern[i];
      continue;
    }
    ++i;
  }
  return name;
}

std::string formatTimestamp(std::string_view format, const timespec& now) {
  std::string expanded;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '%' && i + 2 < format.size() && format[i + 1] >= '1' && format[i + 1] <= '9' &&
        format[i + 2] == 'f') {
      expanded += fmt::format("{:09}", now.tv_nsec).substr(0, static_cast<size_t>(format[i + 1] - '0'));
      i += 2;
    } else if (format[i] == '%' && i + 1 < format.size()) {
      expanded += format.substr(i++, 2);  // the pair together: the second % of "%%" begins nothing
    } else {
      expanded += format[i];
    }
  }
  tm local;
  localtime_r(&now.tv_sec, &local);
  char text[256];
  const size_t length = strftime(text, sizeof(text), expanded.c_str(), &local);
  return std::string(text, length);
}

}  // namespace tutti::log
