#include "core/param.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/bytes.hpp"
#include "core/conf_file.hpp"
#include "core/log.hpp"

namespace tutti::params {
namespace {

/// What the two configuration files say; a file that is not there is an empty one.
struct Files {
  ConfFile user;
  ConfFile system;
  std::string complaint;  ///< NCCL_CONF_FILE names a file that cannot be read: worth a warning, not an error
                          ///< (as in NCCL)
};

constexpr size_t kMaxRows = 512;

// Values once read are published through these pointers and never change. reload() takes them off but keeps
// them in the graveyard, as another thread may still be copying from one: it is a call for tests and tools,
// so this stays small.
std::atomic<const Files*> gFiles{nullptr};
std::array<std::atomic<const Value*>, kMaxRows> gKept{};
std::atomic<bool> gTold{false};

struct Graveyard {
  std::mutex mutex;
  std::vector<std::unique_ptr<const Value>> values;
  std::vector<std::unique_ptr<const Files>> files;
};

Graveyard& graveyard() {
  static auto* const kept =
      new Graveyard;  // never destroyed: other threads may still read parameters during exit
  return *kept;
}

/// Publishes `made` in `slot`, or, if another thread came first, drops it; what is in the slot then.
/// Release pairs with the acquire loads of `slot`: who sees the pointer sees the object. A lost exchange
/// acquires too.
template <typename T>
const T* publish(std::atomic<const T*>& slot, std::unique_ptr<const T> made) {
  const T* current = nullptr;
  if (slot.compare_exchange_strong(current, made.get(), std::memory_order_acq_rel,
                                   std::memory_order_acquire)) {
    return made.release();
  }
  return current;
}

const char* environment(std::string_view name) {
  const char* text = std::getenv(std::string(name).c_str());
  return text != nullptr && *text != '\0' ? text : nullptr;
}

ConfFile readOptional(const std::string& path, std::string* complaint) {
  auto file = readConf(path);
  if (file.ok()) return std::move(file).value();
  if (complaint != nullptr) *complaint = file.error().message();
  return {};
}

const Files& files() {
  if (const Files* known = gFiles.load(std::memory_order_acquire)) return *known;
  auto made = std::make_unique<Files>();
  if (const char* named = environment("NCCL_CONF_FILE")) {
    made->user = readOptional(named, &made->complaint);
  } else if (const char* home = environment("HOME")) {
    made->user = readOptional(std::string(home) + "/.nccl.conf", nullptr);
  }
  made->system = readOptional("/etc/nccl.conf", nullptr);
  return *publish<Files>(gFiles, std::move(made));
}

struct Setting {
  std::string text;
  Source source = Source::Default;
  std::string origin;
};

/// Where `name` is set, if anywhere.
std::optional<Setting> lookUp(std::string_view name) {
  if (const char* text = environment(name)) return Setting{text, Source::Environment, {}};
  if (name == "NCCL_CONF_FILE") return std::nullopt;  // a file cannot choose which file is read
  const Files& known = files();
  for (const auto& [file, source] :
       {std::pair{&known.user, Source::UserConfFile}, {&known.system, Source::SystemConfFile}}) {
    const ConfEntry* entry = file->find(name);
    if (entry != nullptr && !entry->value.empty()) return Setting{entry->value, source, entry->origin};
  }
  return std::nullopt;
}

const std::unordered_map<std::string_view, size_t>& rowNumbers() {
  static const auto* const numbers = [] {
    auto* made = new std::unordered_map<std::string_view, size_t>;
    const auto rows = table();
    assert(rows.size() <= kMaxRows);
    for (size_t i = 0; i < rows.size(); ++i) made->emplace(rows[i].name, i);
    return made;
  }();
  return *numbers;
}

/// Reads row `spec` afresh.
Result<Value> readNow(const Spec& spec) {
  std::string_view name = spec.name;
  auto setting = lookUp(name);
  if (!setting && !spec.alias.empty()) {
    name = spec.alias;
    setting = lookUp(name);
  }
  if (!setting) return parse(spec, spec.fallback);
  auto parsed = parse(spec, setting->text);
  if (!parsed.ok()) {
    const std::string where = setting->origin.empty() ? "" : fmt::format("{}: ", setting->origin);
    return makeError(Code::InvalidArgument, "{}{}=\"{}\": {}", where, name, setting->text,
                     parsed.error().message());
  }
  Value value = std::move(parsed).value();
  value.source = setting->source;
  value.origin = std::move(setting->origin);
  return value;
}

Value fallbackOf(const Spec& spec) {
  auto parsed = parse(spec, spec.fallback);
  assert(parsed.ok());  // the table's own defaults parse: tests/unit/core holds each against its row
  return parsed.ok() ? std::move(parsed).value() : Value{&spec, std::string(spec.fallback)};
}

/// For the shorthands: the value, or the default where the setting does not parse or the name is not in the
/// table.
Value valueOrFallback(std::string_view name) {
  auto value = get(name);
  if (value.ok()) return std::move(value).value();
  const Spec* spec = find(name);
  assert(spec != nullptr);
  return spec != nullptr ? fallbackOf(*spec) : Value{};
}

}  // namespace

const Spec* find(std::string_view name) {
  const auto& numbers = rowNumbers();
  const auto found = numbers.find(name);
  return found == numbers.end() ? nullptr : &table()[found->second];
}

Result<Value> get(std::string_view name) {
  const Spec* spec = find(name);
  if (spec == nullptr) return makeError(Code::InternalError, "there is no parameter {} in the table", name);
  if (spec->type == Type::String || spec->type == Type::Enum) return readNow(*spec);

  auto& slot = gKept[static_cast<size_t>(spec - table().data())];
  if (const Value* kept = slot.load(std::memory_order_acquire)) return *kept;
  auto value = readNow(*spec);
  if (!value.ok()) return value;
  return *publish<Value>(slot, std::make_unique<const Value>(std::move(value).value()));
}

int64_t getInt(std::string_view name) {
  return valueOrFallback(name).number;
}
bool getBool(std::string_view name) {
  return valueOrFallback(name).number != 0;
}
std::string getString(std::string_view name) {
  return valueOrFallback(name).text;
}

bool isSet(std::string_view name) {
  auto value = get(name);
  return !value.ok() || value->source != Source::Default;
}

namespace {

/// Whether one letter more, less or other, or two exchanged, make `a` into `b`.
bool isSlip(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (a == b || b.size() - a.size() > 1) return false;
  const size_t at = static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
  if (a.size() != b.size()) return a.substr(at) == b.substr(at + 1);
  if (a.substr(at + 1) == b.substr(at + 1)) return true;
  return at + 1 < a.size() && a[at] == b[at + 1] && a[at + 1] == b[at] &&
         a.substr(at + 2) == b.substr(at + 2);
}

/// Variables that are set, are no parameter, and nearly have the name of one.
void warnOfSlips() {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view assignment = *entry;
    const std::string_view name = assignment.substr(0, assignment.find('='));
    if ((!name.starts_with("TUTTI_") && !name.starts_with("NCCL_")) || find(name) != nullptr) continue;
    for (const Spec& spec : table()) {
      if (isSlip(name, spec.name))
        TUTTI_WARN("{} is set, but there is no such parameter: is {} meant?", name, spec.name);
    }
  }
}

}  // namespace

Status checkAll() {
  const Files& known = files();
  if (!known.user.firstError.ok()) return known.user.firstError;
  if (!known.system.firstError.ok()) return known.system.firstError;
  for (const Spec& spec : table()) {
    auto value = get(spec.name);
    if (!value.ok()) return std::move(value).error();
  }
  if (gTold.exchange(true, std::memory_order_relaxed))
    return {};  // relaxed: only who tells matters, nothing is published
  if (!known.complaint.empty()) TUTTI_WARN("NCCL_CONF_FILE is ignored: {}", known.complaint);
  warnOfSlips();
  for (const Spec& spec : table()) {
    auto value = get(spec.name);
    if (!value.ok() || value->source == Source::Default) continue;
    TUTTI_INFO(Env, "{} set by {} to {}", spec.name,
               value->origin.empty() ? std::string(nameOf(value->source)) : value->origin, value->text);
  }
  return {};
}

void reload() {
  Graveyard& grave = graveyard();
  std::lock_guard lock(grave.mutex);
  for (auto& slot : gKept) {
    if (const Value* old = slot.exchange(nullptr, std::memory_order_acq_rel)) grave.values.emplace_back(old);
  }
  if (const Files* old = gFiles.exchange(nullptr, std::memory_order_acq_rel)) grave.files.emplace_back(old);
  gTold.store(false, std::memory_order_relaxed);
}

}  // namespace tutti::params
