#include "core/bytes.hpp"

#include <charconv>
#include <cmath>

namespace tutti {
namespace {

char lowered(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Digits, decimal or 0x, all of `text`; no sign.
std::optional<uint64_t> parseDigits(std::string_view text) {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && lowered(text[1]) == 'x') {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Takes "K", "KB" or "KiB" (and M, G, T; or a bare "B") off the end of `text`; the power of two that it
/// stands for.
int takeSuffix(std::string_view& text) {
  constexpr std::string_view kLetters = "kmgt";
  std::string_view rest = text;
  const bool hex = rest.size() > 2 && rest[0] == '0' && lowered(rest[1]) == 'x';
  if (!hex && !rest.empty() && lowered(rest.back()) == 'b') {
    rest.remove_suffix(1);
    if (rest.size() > 1 && rest.back() == 'i' &&
        kLetters.find(lowered(rest[rest.size() - 2])) != kLetters.npos) {
      rest.remove_suffix(1);
    }
  }
  if (rest.empty()) return 0;
  const size_t letter = kLetters.find(lowered(rest.back()));
  if (letter != kLetters.npos) rest.remove_suffix(1);
  text = rest;
  return letter == kLetters.npos ? 0 : 10 * (static_cast<int>(letter) + 1);
}

}  // namespace

std::optional<int64_t> parseInteger(std::string_view text) {
  text = trimmed(text);
  const bool negative = !text.empty() && text[0] == '-';
  if (negative || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
  const auto magnitude = parseDigits(text);
  if (!magnitude) return std::nullopt;
  const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (*magnitude > limit) return std::nullopt;
  return static_cast<int64_t>(negative ? 0 - *magnitude : *magnitude);
}

std::optional<int64_t> parseBytes(std::string_view text) {
  text = trimmed(text);
  const int shift = takeSuffix(text);
  if (const auto whole = parseDigits(text)) {
    if (*whole > (static_cast<uint64_t>(INT64_MAX) >> shift)) return std::nullopt;
    return static_cast<int64_t>(*whole << shift);
  }
  if (shift == 0 || text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  double value = 0;
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  value = std::ldexp(value, shift);
  if (!(value < 0x1p63) || value != std::floor(value)) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::string formatBytes(int64_t bytes) {
  constexpr char kLetters[] = "KMGT";
  int unit = -1;
  while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  std::string text = std::to_string(bytes);
  if (unit >= 0) text += kLetters[unit];
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool equalsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lowered(a[i]) != lowered(b[i])) return false;
  }
  return true;
}

}  // namespace tutti
