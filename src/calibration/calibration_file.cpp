#include "calibration/calibration_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/conf_file.hpp"
#include "core/param.hpp"
#include "core/unique_fd.hpp"

namespace tutti::calibration {
namespace {

constexpr size_t kMaxFileBytes = 16384;

template <typename T>
Result<T> numberOf(const ConfFile& file, std::string_view name, std::string_view path) {
  const ConfEntry* entry = file.find(name);
  if (entry == nullptr) return makeError(Code::InvalidArgument, "{}: {} is missing", path, name);
  T value{};
  const char* end = entry->value.data() + entry->value.size();
  auto [stopped, failure] = std::from_chars(entry->value.data(), end, value);
  if (failure != std::errc() || stopped != end)
    return makeError(Code::InvalidArgument, "{}: {} is not a number", entry->origin, name);
  return value;
}

}  // namespace

std::string textOf(const Saved& saved, const Fingerprint& machine) {
  std::string text = fmt::format(
      "# What `tutti calibrate` measured of this machine. Made anew where it is missing or does not fit.\n"
      "format={}\nmachine={}\nmeasuredAt={}\ntookMs={}\n",
      kFormatVersion, machine.text, saved.measuredAt, saved.tookMs);
  for (const Field& field : fields()) text += fmt::format("{}={}\n", field.name, saved.values.*field.member);
  return text + "end=1\n";
}

Result<Saved> parse(std::string_view text, const Fingerprint& machine, std::string_view path) {
  const ConfFile file = parseConf(text, path);
  TUTTI_ASSIGN(const int64_t format, numberOf<int64_t>(file, "format", path));
  if (format != kFormatVersion) {
    return makeError(Code::InvalidArgument, "{}: written in format {}, this library has {}", path, format,
                     kFormatVersion);
  }
  if (!file.firstError.ok()) return file.firstError.error();
  if (file.entries.back().key != "end" || !text.ends_with('\n'))
    return makeError(Code::InvalidArgument, "{}: the file ends too soon", path);
  const ConfEntry* measured = file.find("machine");
  if (measured == nullptr || measured->value != machine.text) {
    return makeError(Code::InvalidArgument, "{}: measured on another machine ({})", path,
                     measured == nullptr ? "unknown" : measured->value);
  }
  Saved saved;
  TUTTI_ASSIGN(saved.measuredAt, numberOf<int64_t>(file, "measuredAt", path));
  TUTTI_ASSIGN(saved.tookMs, numberOf<int64_t>(file, "tookMs", path));
  for (const Field& field : fields()) {
    TUTTI_ASSIGN(saved.values.*field.member, numberOf<double>(file, field.name, path));
  }
  if (Status sane = checkPlausible(saved.values); !sane.ok())
    return std::move(sane).error().context(std::string(path));
  return saved;
}

std::string pathFor(const Fingerprint& machine) {
  if (std::string file = params::getString("TUTTI_CALIBRATION_FILE"); !file.empty()) return file;
  std::string folder = params::getString("TUTTI_CACHE_DIR");
  if (folder.empty()) {
    // Relative paths there are to be ignored, says the XDG specification.
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    if (cache != nullptr && cache[0] == '/') {
      folder = std::string(cache) + "/tutti";
    } else if (home != nullptr && home[0] == '/') {
      folder = std::string(home) + "/.cache/tutti";
    } else {
      return "";
    }
  }
  return fmt::format("{}/calibration-{}.conf", folder, machine.hash());
}

Loaded load(const std::string& path, const Fingerprint& machine) {
  if (path.empty()) return {Lacks::File, {}, ""};
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return {Lacks::File, {}, ""};
    return {Lacks::Sense, {}, makeSystemError(errno, "{}", path).message()};
  }
  std::string text(kMaxFileBytes + 1, '\0');
  size_t filled = 0;
  for (ssize_t got = 0; filled < text.size(); filled += static_cast<size_t>(got)) {
    got = read(fd.get(), text.data() + filled, text.size() - filled);
    if (got < 0) return {Lacks::Sense, {}, makeSystemError(errno, "{}", path).message()};
    if (got == 0) break;
  }
  if (filled > kMaxFileBytes) return {Lacks::Sense, {}, path + ": far too large"};
  text.resize(filled);
  Result<Saved> saved = parse(text, machine, path);
  if (!saved.ok()) return {Lacks::Sense, {}, saved.error().message()};
  return {Lacks::Nothing, *saved, ""};
}

Status save(const std::string& path, const Saved& saved, const Fingerprint& machine) {
  if (path.empty())
    return Error(Code::SystemError,
                 "no folder for it: neither TUTTI_CACHE_DIR, XDG_CACHE_HOME nor HOME is set");
  if (const std::filesystem::path folder = std::filesystem::path(path).parent_path(); !folder.empty()) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) return makeSystemError(failure.value(), "{}", folder.string());
  }
  std::string fresh = path + ".XXXXXX";
  UniqueFd fd(mkostemp(fresh.data(), O_CLOEXEC));
  if (!fd) return makeSystemError(errno, "{}", path);
  const std::string text = textOf(saved, machine);
  const ssize_t written = write(fd.get(), text.data(), text.size());
  int failed = written < 0 ? errno : written != static_cast<ssize_t>(text.size()) ? ENOSPC : 0;
  if (failed == 0 && fchmod(fd.get(), 0644) != 0) failed = errno;
  if (failed == 0 && std::rename(fresh.c_str(), path.c_str()) != 0) failed = errno;
  if (failed == 0) return {};
  unlink(fresh.c_str());
  return makeSystemError(failed, "{}", path);
}

}  // namespace tutti::calibration
