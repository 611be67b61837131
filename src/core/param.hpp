// The parameter table: every environment variable that Tutti reads, with its type, default, range and
// meaning, in one place.
//
// A parameter's value comes from, in this order: the environment, NCCL_CONF_FILE (or ~/.nccl.conf),
// /etc/nccl.conf, the default. All parameters are declared in param_table.cpp; no other file calls getenv for
// a setting. As in NCCL, files are read once, and a number (Int, Bool, Bytes) is kept once it was asked for,
// while a String or Enum is looked up in the environment at every call; reload() (tests, tuttiParamsReload)
// reads everything again. An empty setting counts as none.
//
// Thread safety: all calls are safe from any thread. Getters are cheap but not for the hot path: read once,
// keep the value.
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
  std::string_view name;  ///< full name of the variable: "NCCL_BUFFSIZE"
  Type type;
  std::string_view fallback;  ///< the default, spelled as a user would
  int64_t min = INT64_MIN;    ///< inclusive range, for Int and Bytes
  int64_t max = INT64_MAX;
  std::string_view choices;  ///< for Enum: "a|b|c"; otherwise a word on the format ("^lo,docker")
  std::string_view help;     ///< one sentence
  std::string_view alias{};  ///< an older name of the same thing, looked at where `name` is set nowhere
  /// For String: says what is wrong with a value; the caller puts the variable's name in front. None: any
  /// text will do.
  Status (*check)(std::string_view text) = nullptr;
};

struct Value {
  const Spec* spec;
  std::string text;    ///< as given (an Enum: as spelled in `choices`), or the default
  int64_t number = 0;  ///< parsed, for Int, Bool, Bytes; for Enum the place in `choices`, from 0
  Source source = Source::Default;
  std::string origin;  ///< file and line when it came from a file
};

/// "INT", "BOOL", "BYTES", "STRING", "ENUM"; "default", "environment", ...: words for tables that people
/// read.
std::string_view nameOf(Type type);
std::string_view nameOf(Source source);

/// The whole table, in the order `tutti params` prints.
std::span<const Spec> table();

/// The value of `name`. An unparsable or out-of-range setting is an InvalidArgument error that names the
/// variable, what was given and what it takes. `name` not in the table is an InternalError.
Result<Value> get(std::string_view name);

/// The row called `name`; null where there is none.
const Spec* find(std::string_view name);

/// Reads `text` as a value of `spec`, which stays alive: what get() does once it knows where the text comes
/// from. A Bool is 0, 1, any other whole number (true), or true/false/yes/no/on/off. Bytes takes K, M, G
/// after the number. Where -1 is in the range and the default is a word ("off", "auto"), that word stands for
/// -1.
Result<Value> parse(const Spec& spec, std::string_view text);

/// What the variable takes, for messages: "a whole number from 0 to 9", "one of auto, shm, tcp".
std::string whatItTakes(const Spec& spec);

/// Shorthands for code that ran after checkAll(): REQUIRES that the setting parses (it falls back to the
/// default otherwise).
int64_t getInt(std::string_view name);
bool getBool(std::string_view name);
std::string getString(std::string_view name);
/// True where the user set it (any source but Default).
bool isSet(std::string_view name);

/// Checks the configuration files and every parameter that is set; the first error, if any. Called at
/// communicator creation. The first time, logs what is set and by whom (INFO, ENV).
Status checkAll();

/// Forgets cached values and re-reads environment and files.
void reload();

}  // namespace tutti::params
