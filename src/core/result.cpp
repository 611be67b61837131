#include "core/result.hpp"

#include <cstring>

namespace tutti {

Error makeSystemErrorText(int errnoValue, std::string what) {
  char buffer[128];
  // GNU strerror_r: may return a static string instead of filling the buffer.
  const char* text = strerror_r(errnoValue, buffer, sizeof(buffer));
  what += ": ";
  what += text;
  return Error(Code::SystemError, std::move(what));
}

}  // namespace tutti
