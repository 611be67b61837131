// Configuration files: KEY=VALUE lines, '#' comments, blank lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace tutti {

/// One setting of a file. `origin` is "path:line".
struct ConfEntry {
  std::string key;
  std::string value;
  std::string origin;
};

/// What a file holds. Lines that do not parse are left out of `entries`; the first of them is told in
/// `firstError`.
struct ConfFile {
  std::vector<ConfEntry> entries;
  Status firstError;

  /// The value of `key`: as in a shell, the last line that sets it wins. Null where none does.
  const ConfEntry* find(std::string_view key) const;
};

/// Parses the text of a file; `path` is only for messages. Blanks around key and value do not count.
ConfFile parseConf(std::string_view text, std::string_view path);

/// Reads and parses a file of at most 1 MiB. A SystemError where it cannot be opened or read.
Result<ConfFile> readConf(const std::string& path);

}  // namespace tutti
