#include "api/last_error.hpp"

namespace tutti::api {
namespace {

std::string& text() {
  thread_local std::string value;
  return value;
}

}  // namespace

const std::string& threadLastError() {
  return text();
}

void setThreadLastError(const std::string& value) {
  text() = value;
}

}  // namespace tutti::api
