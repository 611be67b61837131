// The parameter table: every environment variable that Tutti reads, with its type, default, range and meaning, in one place.
//
// A parameter's value comes from, in this order: the environment, NCCL_CONF_FILE (or ~/.nccl.conf), /etc/nccl.conf, the
// default. All parameters are declared in param_table.cpp; no other file calls getenv for a setting. Values are read when
// first asked for and then kept, as NCCL does; reload() (tests, tuttiParamsReload) reads again.
//
// Thread safety: all calls are safe from any thread. Getters are cheap but not for the hot path: read once, keep the value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace tutti::params {

enum class Type { Int, Bool, Bytes, String, Enum };
enum class Source { Default, Environment, UserConfFile, SystemConfFile };

/// One row of the table.
struct Spec {
  std::string_view name;       ///< full name of the variable: "NCCL_BUFFSIZE"
  Type type;
  std::string_view fallback;   ///< the default, spelled as a user would
  int64_t min = INT64_MIN;     ///< inclusive range, for Int and Bytes
  int64_t max = INT64_MAX;
  std::string_view choices;    ///< for Enum: "a|b|c"; otherwise a word on the format ("^lo,docker")
  std::string_view help;       ///< one sentence
};

struct Value {
  const Spec* spec;
  std::string text;      ///< as given, or the default
  int64_t number = 0;    ///< parsed, for Int, Bool, Bytes
  Source source = Source::Default;
  std::string origin;    ///< file and line when it came from a file
};

/// The whole table, in the order `tutti params` prints.
std::span<const Spec> table();

/// The value of `name`. An unparsable or out-of-range setting is an InvalidArgument error that names the variable, what was
/// given and what it takes. `name` not in the table is an InternalError.
Result<Value> get(std::string_view name);

/// Shorthands for code that ran after checkAll(): REQUIRES that the setting parses (it falls back to the default otherwise).
int64_t getInt(std::string_view name);
bool getBool(std::string_view name);
std::string getString(std::string_view name);
/// True where the user set it (any source but Default).
bool isSet(std::string_view name);

/// Checks every parameter that is set; the first error, if any. Called at communicator creation.
Status checkAll();

/// Forgets cached values and re-reads environment and files.
void reload();

}  // namespace tutti::params
