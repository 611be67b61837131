#include "api/guard.hpp"

#include <exception>
#include <new>

#include "core/log.hpp"

namespace tutti::api {

ncclResult_t fail(const char* call, Kind kind, CommEntry* entry, const Error& error) noexcept {
  if (error.code() == Code::InProgress) return ncclInProgress;
  try {
    std::string text = fmt::format("{}: {}", call, error.message());
    setThreadLastError(text);
    if (entry != nullptr) comm::noteLastError(*entry->comm, text);
    if (kind == Kind::Grouped) comm::groupNoteError(Error(error.code(), text));
    TUTTI_WARN("{}", text);
  } catch (...) {
    // Out of memory while telling about it: the code alone must do.
  }
  return static_cast<ncclResult_t>(error.code());
}

ncclResult_t failInCatch(const char* call, Kind kind, CommEntry* entry) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return fail(call, kind, entry, Error(Code::SystemError, "out of memory"));
  } catch (const std::exception& exception) {
    return fail(call, kind, entry,
                makeError(Code::InternalError, "unexpected exception: {}", exception.what()));
  } catch (...) {
    return fail(call, kind, entry, Error(Code::InternalError, "unexpected exception"));
  }
}

Error nullArgument(const char* name) {
  return makeError(Code::InvalidArgument, "{} is NULL", name);
}

}  // namespace tutti::api
