// Result<T>: how every room reports failure. No exceptions cross a room's border.
//
// An Error is a code (NCCL's numbers), a message that a user can act on, and context that callers put in
// front of it on the way up: `return std::move(error).context("rank 3: connecting to rank 5")`.
#pragma once

#include <fmt/format.h>

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace tutti {

/// Result codes; the numbers are those of ncclResult_t (nccl.h), so that api/ converts with a cast.
enum class Code : int {
  Success = 0,
  UnhandledCudaError = 1,
  SystemError = 2,
  InternalError = 3,
  InvalidArgument = 4,
  InvalidUsage = 5,
  RemoteError = 6,
  InProgress = 7,
  Timeout = 8,
};

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The same error with `where` in front: "where: message".
  Error context(std::string where) && {
    where += ": ";
    message_.insert(0, where);
    return std::move(*this);
  }

 private:
  Code code_;
  std::string message_;
};

/// Makes an Error from a format string: makeError(Code::InvalidArgument, "root {} is not below {}", root, n).
template <typename... Args>
Error makeError(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Makes a SystemError that ends in errno's text: makeSystemError("bind {}", address) -> "bind 1.2.3.4:
/// Address in use".
Error makeSystemErrorText(int errnoValue, std::string what);
template <typename... Args>
Error makeSystemError(int errnoValue, fmt::format_string<Args...> format, Args&&... args) {
  return makeSystemErrorText(errnoValue, fmt::format(format, std::forward<Args>(args)...));
}

/// A value or an Error. Result<void> holds only success or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// REQUIRES ok().
  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// REQUIRES !ok().
  Error& error() & {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() & {
    assert(!ok());
    return *error_;
  }
  const Error& error() const& {
    assert(!ok());
    return *error_;
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

#define TUTTI_CONCAT_INNER(a, b) a##b
#define TUTTI_CONCAT(a, b) TUTTI_CONCAT_INNER(a, b)

/// Returns the error of `expr` to the caller, if it has one.
#define TUTTI_TRY(expr)                                 \
  do {                                                  \
    if (auto tuttiStatus = (expr); !tuttiStatus.ok()) { \
      return std::move(tuttiStatus).error();            \
    }                                                   \
  } while (false)

/// TUTTI_ASSIGN(auto socket, Socket::connect(address)); declares (or assigns) from the value, or returns the
/// error.
#define TUTTI_ASSIGN(declaration, expr) \
  TUTTI_ASSIGN_IMPL(TUTTI_CONCAT(tuttiResult_, __LINE__), declaration, expr)
#define TUTTI_ASSIGN_IMPL(temporary, declaration, expr)     \
  auto temporary = (expr);                                  \
  if (!temporary.ok()) return std::move(temporary).error(); \
  declaration = std::move(temporary).value()

}  // namespace tutti
