// Numbers and sizes as users spell them: "4096", "0x10", "128K", "4MiB".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti {

/// A whole number, decimal or with 0x; an optional sign. Nothing if there is anything else in `text`, or no
/// room in 64 bits.
std::optional<int64_t> parseInteger(std::string_view text);

/// A size: digits (or 0x...), then nothing, K, M, G or T (powers of 1024, upper or lower case), then "", "B"
/// or "iB". A fraction is taken where a suffix makes it whole: "1.5M". Negative sizes do not parse.
std::optional<int64_t> parseBytes(std::string_view text);

/// The shortest exact spelling that parseBytes() reads back: 4194304 -> "4M", 4097 -> "4097".
std::string formatBytes(int64_t bytes);

/// `text` without blanks (space, tab, CR) at either end.
std::string_view trimmed(std::string_view text);

/// ASCII comparison that ignores case.
bool equalsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace tutti
