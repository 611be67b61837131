// How NCCL_DEBUG_* settings are spelled: pure functions from text to masks. log.cpp applies them, the
// parameter table checks with them.
#pragma once

#include <time.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/log.hpp"
#include "core/result.hpp"

namespace tutti::log {

/// "INIT,NET" -> those bits of Subsystem; "^NET" -> all others; "ALL" -> all. Names in any case; an unknown
/// one is an error.
Result<uint64_t> parseSubsystems(std::string_view text);

/// The same for levels; bit n is Level n.
Result<uint32_t> parseLevels(std::string_view text);

/// Checks for the parameter table.
Status checkSubsystems(std::string_view text);
Status checkLevels(std::string_view text);

/// The level called `name` (NCCL_DEBUG's values); None for anything else.
Level levelFromName(std::string_view name);

/// `pattern` with %h replaced by `host`, %p by `pid` and %% by a %; another % is kept as it is.
std::string expandFileName(std::string_view pattern, std::string_view host, int pid);

/// `format` for `now`, as strftime in local time, with %1f..%9f for that many decimals of the second. At most
/// 255 bytes.
std::string formatTimestamp(std::string_view format, const timespec& now);

}  // namespace tutti::log
