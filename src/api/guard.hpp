// guard: the one way in. Every extern "C" function is TUTTI_API(...) { return guard...(name, body); }: the
// body returns a Status, nothing it throws escapes, and every failure ends up in ncclGetLastError and in the
// log.
#pragma once

#include "api/entries.hpp"
#include "core/result.hpp"
#include "nccl.h"

#define TUTTI_EXPORT __attribute__((visibility("default")))

/// Defines pncclName, and nccl<Name> as a weak name of the same function, so that tools can put a function of
/// their own in front: TUTTI_API(ncclResult_t, GetVersion, (int* version)) { ... }
#define TUTTI_API(type, name, parameters)                                                         \
  extern "C" TUTTI_EXPORT type nccl##name parameters __attribute__((weak, alias("pnccl" #name))); \
  extern "C" TUTTI_EXPORT type pnccl##name parameters

namespace tutti::api {

/// Grouped: an error inside ncclGroupStart..End makes the group fail.
enum class Kind { Plain, Grouped };

// The cold side. They record the error ("call: message") and return its code.
ncclResult_t fail(const char* call, Kind kind, CommEntry* entry, const Error& error) noexcept;
ncclResult_t failInCatch(const char* call, Kind kind, CommEntry* entry) noexcept;

/// For calls that return something else than a result: records the error, and that is all.
inline void note(const char* call, const Error& error) noexcept {
  (void)fail(call, Kind::Plain, nullptr, error);
}

/// body: () -> Status.
template <typename Body>
ncclResult_t guard(const char* call, Body&& body, Kind kind = Kind::Plain) noexcept {
  try {
    Status status = body();
    if (status.ok()) [[likely]]
      return ncclSuccess;
    return fail(call, kind, nullptr, status.error());
  } catch (...) {
    return failInCatch(call, kind, nullptr);
  }
}

namespace detail {

template <typename Pin, typename Body>
ncclResult_t guardPinned(const char* call, Kind kind, const void* comm, const Pin& pin,
                         Body&& body) noexcept {
  CommEntry* entry = nullptr;
  try {
    if (!pin) [[unlikely]]
      return fail(call, kind, nullptr, badComm(comm));
    entry = &*pin;
    Status status = body(*entry->comm);
    if (status.ok()) [[likely]]
      return ncclSuccess;
    return fail(call, kind, entry, status.error());
  } catch (...) {
    return failInCatch(call, kind, entry);
  }
}

}  // namespace detail

/// body: (Communicator&) -> Status. For the calls of which a communicator sees one at a time.
template <typename Body>
ncclResult_t guardComm(const char* call, const void* comm, Body&& body) noexcept {
  return detail::guardPinned(call, Kind::Grouped, comm, gComms.value.enter(comm), body);
}

/// The same for calls that any thread may make at any time.
template <typename Body>
ncclResult_t guardQuery(const char* call, const void* comm, Body&& body) noexcept {
  return detail::guardPinned(call, Kind::Plain, comm, gComms.value.enterShared(comm), body);
}

/// "x is NULL" for an argument that must not be.
Error nullArgument(const char* name);
#define TUTTI_NEED(pointer)              \
  if ((pointer) == nullptr) [[unlikely]] \
  return ::tutti::api::nullArgument(#pointer)

}  // namespace tutti::api
