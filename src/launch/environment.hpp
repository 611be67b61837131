// The one place of this room that reads launchers' variables. (Settings that users make are parameters:
// core/param.hpp.)
#pragma once

#include "launch/launch.hpp"

namespace tutti::launch {

/// getenv, with an empty value as nullptr.
const char* processEnvironment(const char* name);

}  // namespace tutti::launch
