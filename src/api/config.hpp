// Reads the versioned structs of nccl.h: any size and version since 2.14, magic, ranges.
#pragma once

#include "comm/types.hpp"
#include "core/result.hpp"
#include "nccl.h"

namespace tutti::api {

using comm::CallOptions;
using comm::CommOptions;

/// InvalidArgument naming the member that is wrong. Null: all defaults.
Result<CommOptions> readConfig(const ncclConfig_t* config);
Result<CallOptions> readCollConfig(const ncclCollConfig_t* config);

/// The caller's struct as far as it goes; REQUIRES config not null. Unset beyond it.
Result<ncclConfig_t> widenConfig(const ncclConfig_t* config);

/// The head that all versioned structs share.
struct StructHead {
  size_t size;
  unsigned int magic;
  unsigned int version;
};
/// InvalidArgument unless `head` was filled in by the initializer that `initializer` names.
Status checkHead(const void* head, unsigned int magic, const char* initializer);

}  // namespace tutti::api
