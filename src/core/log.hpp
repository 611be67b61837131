// The log: NCCL_DEBUG levels and NCCL_DEBUG_SUBSYS subsystems, one line per call, written whole.
//
// Thread safety: all calls are safe from any thread. Nothing is formatted when the line is not wanted: the
// macros test one relaxed atomic first, so a disabled TRACE costs a load and a branch.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/result.hpp"

namespace tutti::log {

/// NCCL_DEBUG's levels, in its order.
enum class Level : int { None = 0, Version = 1, Warn = 2, Info = 3, Abort = 4, Trace = 5 };

/// NCCL_DEBUG_SUBSYS's subsystems; the bit numbers are NCCL's.
enum Subsystem : uint64_t {
  Init = 0x1,
  Coll = 0x2,
  P2p = 0x4,
  Shm = 0x8,
  Net = 0x10,
  Graph = 0x20,
  Tuning = 0x40,
  Env = 0x80,
  Alloc = 0x100,
  Call = 0x200,
  Proxy = 0x400,
  Nvls = 0x800,
  Bootstrap = 0x1000,
  Reg = 0x2000,
  Profile = 0x4000,
  Ras = 0x8000,
  All = ~0ull,
};

/// What is wanted now. Set once from the parameters at first use, and again by reset() (ncclResetDebugInit).
extern std::atomic<int> gLevel;
extern std::atomic<uint64_t> gSubsystems;

/// Reads NCCL_DEBUG, NCCL_DEBUG_SUBSYS, NCCL_DEBUG_FILE (%h host, %p pid), NCCL_DEBUG_TIMESTAMP_FORMAT,
/// NCCL_WARN_ENABLE_DEBUG_INFO. Called by itself on first use.
void reset();

inline bool wanted(Level level, uint64_t subsystem) {
  int now = gLevel.load(
      std::memory_order_relaxed);  // relaxed: a line more or less around a change of level is harmless
  if (now < 0) {
    reset();
    now = gLevel.load(std::memory_order_relaxed);
  }
  return now >= static_cast<int>(level) &&
         (level == Level::Warn || (gSubsystems.load(std::memory_order_relaxed) & subsystem) != 0);
}

/// Writes "host:pid:tid [rank] NCCL LEVEL text\n" in one write.
void write(Level level, uint64_t subsystem, const char* file, int line, const std::string& text);

/// The rank that this thread works for; shown in brackets (-1: none).
void setThreadRank(int rank);

}  // namespace tutti::log

#define TUTTI_LOG(level, subsystem, ...)                                                           \
  do {                                                                                             \
    if (::tutti::log::wanted(::tutti::log::Level::level, ::tutti::log::subsystem)) {               \
      ::tutti::log::write(::tutti::log::Level::level, ::tutti::log::subsystem, __FILE__, __LINE__, \
                          fmt::format(__VA_ARGS__));                                               \
    }                                                                                              \
  } while (false)
#define TUTTI_WARN(...) TUTTI_LOG(Warn, All, __VA_ARGS__)
#define TUTTI_INFO(subsystem, ...) TUTTI_LOG(Info, subsystem, __VA_ARGS__)
#define TUTTI_TRACE(subsystem, ...) TUTTI_LOG(Trace, subsystem, __VA_ARGS__)
