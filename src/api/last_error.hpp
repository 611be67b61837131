// What ncclGetLastError(NULL) tells: the last error of each thread. Communicators keep their own.
#pragma once

#include <string>

namespace tutti::api {

/// The last error of the calling thread; "" when there was none.
const std::string& threadLastError();
void setThreadLastError(const std::string& text);

}  // namespace tutti::api
