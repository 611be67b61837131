// NCCL_TESTS_SPLIT: several communicators side by side.
#pragma once

#include <string_view>

#include "core/result.hpp"

namespace tutti::perf {

/// The group of process `process`. `split` is "<operation><value>" with AND, OR, MOD or DIV, or their
/// symbols; the value is decimal, 0x or 0b, `mask` the value of NCCL_TESTS_SPLIT_MASK (hexadecimal), which
/// wins; nullptr: not set. Both unset: group 0.
Result<int> splitColor(const char* split, const char* mask, int process);

}  // namespace tutti::perf
