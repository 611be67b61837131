#include "core/conf_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/bytes.hpp"
#include "core/unique_fd.hpp"

namespace tutti {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;

bool isKey(std::string_view key) {
  if (key.empty() || (key[0] >= '0' && key[0] <= '9')) return false;
  for (char c : key) {
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!letter && !(c >= '0' && c <= '9') && c != '_') return false;
  }
  return true;
}

}  // namespace

const ConfEntry* ConfFile::find(std::string_view key) const {
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->key == key) return &*entry;
  }
  return nullptr;
}

ConfFile parseConf(std::string_view text, std::string_view path) {
  ConfFile file;
  int lineNumber = 0;
  while (!text.empty()) {
    ++lineNumber;
    const size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#') continue;

    const size_t equals = line.find('=');
    const std::string_view key = trimmed(line.substr(0, equals));
    if (equals == line.npos || !isKey(key) || line.find('\0') != line.npos) {
      if (file.firstError.ok()) {
        file.firstError = makeError(Code::InvalidArgument, "{}:{}: expected NAME=VALUE, got \"{}\"", path,
                                    lineNumber, line.substr(0, 80));
      }
      continue;
    }
    file.entries.push_back(ConfEntry{std::string(key), std::string(trimmed(line.substr(equals + 1))),
                                     fmt::format("{}:{}", path, lineNumber)});
  }
  return file;
}

Result<ConfFile> readConf(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return makeSystemError(errno, "open {}", path);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return makeSystemError(errno, "read {}", path);
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxFileBytes) {
      return makeError(Code::SystemError, "{} is larger than {}: not a configuration file", path,
                       formatBytes(kMaxFileBytes));
    }
  }
  return parseConf(text, path);
}

}  // namespace tutti
