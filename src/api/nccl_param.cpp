// ncclParam*: the parameter table of core/, by handle and by name.
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>

#include "api/guard.hpp"
#include "core/param.hpp"

namespace tutti::api {
namespace {

/// A row's handle is its address, which is checked to be one before it is used.
Result<const params::Spec*> resolve(ncclParamHandle_t handle) {
  TUTTI_NEED(handle);
  const auto table = params::table();
  const uintptr_t offset = reinterpret_cast<uintptr_t>(handle) - reinterpret_cast<uintptr_t>(table.data());
  if (offset >= table.size_bytes() || offset % sizeof(params::Spec) != 0) {
    return makeError(Code::InvalidArgument, "handle {} did not come from ncclParamBind",
                     static_cast<void*>(handle));
  }
  return &table[offset / sizeof(params::Spec)];
}

/// The row of a variable's name, with or without "NCCL_".
Result<const params::Spec*> lookUp(const char* key) {
  TUTTI_NEED(key);
  const params::Spec* spec = params::find(key);
  if (spec == nullptr) spec = params::find(fmt::format("NCCL_{}", key));
  if (spec == nullptr) return makeError(Code::InvalidArgument, "there is no parameter \"{}\"", key);
  return spec;
}

bool isNumber(const params::Spec& spec) {
  return spec.type == params::Type::Int || spec.type == params::Type::Bool ||
         spec.type == params::Type::Bytes;
}

template <typename Integer>
ncclResult_t getInteger(const char* call, ncclParamHandle_t handle, Integer* out) {
  return guard(call, [&]() -> Status {
    TUTTI_NEED(out);
    TUTTI_ASSIGN(const params::Spec* spec, resolve(handle));
    if (!isNumber(*spec)) {
      return makeError(Code::InvalidArgument, "{} is not a number but {}", spec->name,
                       params::nameOf(spec->type));
    }
    TUTTI_ASSIGN(const params::Value value, params::get(spec->name));
    bool fits;
    if constexpr (std::is_unsigned_v<Integer>) {
      fits = value.number >= 0 && static_cast<uint64_t>(value.number) <= std::numeric_limits<Integer>::max();
    } else {
      fits = value.number >= std::numeric_limits<Integer>::min() &&
             value.number <= std::numeric_limits<Integer>::max();
    }
    if (!fits) {
      return makeError(
          Code::InvalidArgument, "{} is {}, which does not fit {} {} bits", spec->name, value.number,
          std::is_unsigned_v<Integer> ? "an unsigned number of" : "a signed number of", 8 * sizeof(Integer));
    }
    *out = static_cast<Integer>(value.number);
    return {};
  });
}

void dumpOne(const params::Spec& spec) {
  Result<params::Value> value = params::get(spec.name);
  if (!value.ok()) {
    std::printf("%s: %s\n", std::string(spec.name).c_str(), value.error().message().c_str());
    return;
  }
  std::string line = fmt::format("{}={} ({}", spec.name, value->text, params::nameOf(value->source));
  if (!value->origin.empty()) line += fmt::format(", {}", value->origin);
  line += fmt::format("; default {})", spec.fallback.empty() ? "none" : spec.fallback);
  std::printf("%s\n", line.c_str());
}

}  // namespace
}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, ParamBind, (ncclParamHandle_t * out, const char* key)) {
  return guard("ncclParamBind", [&]() -> Status {
    TUTTI_NEED(out);
    TUTTI_ASSIGN(const params::Spec* spec, lookUp(key));
    *out = reinterpret_cast<ncclParamHandle_t>(const_cast<params::Spec*>(spec));
    return {};
  });
}

#define TUTTI_PARAM_GET(suffix, type)                                            \
  TUTTI_API(ncclResult_t, ParamGet##suffix, (ncclParamHandle_t h, type * out)) { \
    return getInteger("ncclParamGet" #suffix, h, out);                           \
  }
TUTTI_PARAM_GET(I8, int8_t)
TUTTI_PARAM_GET(I16, int16_t)
TUTTI_PARAM_GET(I32, int32_t)
TUTTI_PARAM_GET(I64, int64_t)
TUTTI_PARAM_GET(U8, uint8_t)
TUTTI_PARAM_GET(U16, uint16_t)
TUTTI_PARAM_GET(U32, uint32_t)
TUTTI_PARAM_GET(U64, uint64_t)
#undef TUTTI_PARAM_GET

TUTTI_API(ncclResult_t, ParamGetStr, (ncclParamHandle_t h, const char** out)) {
  return guard("ncclParamGetStr", [&]() -> Status {
    TUTTI_NEED(out);
    TUTTI_ASSIGN(const params::Spec* spec, resolve(h));
    TUTTI_ASSIGN(params::Value value, params::get(spec->name));
    thread_local std::string held;
    held = std::move(value.text);
    *out = held.c_str();
    return {};
  });
}

TUTTI_API(ncclResult_t, ParamGet, (ncclParamHandle_t h, void* out, int maxLen, int* len)) {
  return guard("ncclParamGet", [&]() -> Status {
    TUTTI_NEED(out);
    TUTTI_ASSIGN(const params::Spec* spec, resolve(h));
    TUTTI_ASSIGN(const params::Value value, params::get(spec->name));
    const void* bytes = value.text.data();
    size_t size = value.text.size();
    if (isNumber(*spec)) {
      bytes = &value.number;
      size = sizeof(value.number);
    }
    if (len != nullptr) *len = static_cast<int>(size);
    if (maxLen < 0 || static_cast<size_t>(maxLen) < size) {
      return makeError(Code::InvalidArgument, "{} takes {} bytes, maxLen is {}", spec->name, size, maxLen);
    }
    std::memcpy(out, bytes, size);
    return {};
  });
}

TUTTI_API(ncclResult_t, ParamGetParameter, (const char* key, const char** value, int* valueLen)) {
  return guard("ncclParamGetParameter", [&]() -> Status {
    TUTTI_NEED(value);
    *value = nullptr;
    if (valueLen != nullptr) *valueLen = 0;
    TUTTI_ASSIGN(const params::Spec* spec, lookUp(key));
    TUTTI_ASSIGN(params::Value found, params::get(spec->name));
    thread_local std::string held;
    held = std::move(found.text);
    *value = held.c_str();
    if (valueLen != nullptr) *valueLen = static_cast<int>(held.size());
    return {};
  });
}

TUTTI_API(ncclResult_t, ParamGetAllParameterKeys, (const char*** table, int* tableLen)) {
  return guard("ncclParamGetAllParameterKeys", [&]() -> Status {
    TUTTI_NEED(table);
    TUTTI_NEED(tableLen);
    thread_local std::vector<std::string> names;
    thread_local std::vector<const char*> pointers;
    names.clear();
    for (const params::Spec& spec : params::table()) names.emplace_back(spec.name);
    pointers.clear();
    for (const std::string& name : names) pointers.push_back(name.c_str());
    *table = pointers.data();
    *tableLen = static_cast<int>(pointers.size());
    return {};
  });
}

TUTTI_API(void, ParamDumpAll, (void)) {
  guard("ncclParamDumpAll", []() -> Status {
    for (const params::Spec& spec : params::table()) dumpOne(spec);
    std::fflush(stdout);
    return {};
  });
}
