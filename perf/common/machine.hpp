// What the programs say about the machine, and ask it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tutti::perf {

std::string cpuModel();
std::string hostName();
/// Cores that this process may run on.
int usableCores();
/// Bytes of the last-level cache; 32 MiB where the machine does not tell.
size_t lastLevelCacheBytes();
/// Memory that can be had without swapping, within the control group's limit.
size_t availableMemoryBytes();
/// Memory of this process that is in use now (resident, shared pages included).
int64_t residentBytes();
/// "2026-01-31 23:59:59", local time.
std::string timeStamp();

}  // namespace tutti::perf
