// Ranks that die by kill -9 at a chosen moment, and the judgement of those that survive.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <string>
#include <thread>

namespace deaths {

/// Longer than this is a hang, on any machine.
inline constexpr double kHangMs = 30'000;

inline double nowMs() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Memory that a test shares with the ranks it forks.
struct Board {
  std::atomic<double> diedMs;   ///< 0 while it lives
  std::atomic<double> worstMs;  ///< longest time from the death to a survivor's error
};
inline Board& freshBoard() {
  static void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* board = static_cast<Board*>(memory);
  board->diedMs = board->worstMs = 0;
  return *board;
}

/// kill -9 of this process in `us` microseconds.
inline void dieIn(Board& board, int us) {
  std::thread([&board, us] {
    usleep(us);
    board.diedMs = nowMs();
    kill(getpid(), SIGKILL);
  }).detach();
}

/// Whether the text names "rank N".
inline bool names(const std::string& text, int rank) {
  const std::string name = "rank " + std::to_string(rank);
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    if (isdigit(text[at + name.size()]) == 0) return true;
  }
  return false;
}

/// For survivors: "" if the error names the victim (and what was called), in time.
inline std::string judge(Board& board, const std::string& error, int victim, const char* operation) {
  const double took = nowMs() - board.diedMs;
  double worst = board.worstMs;
  while (took > worst && !board.worstMs.compare_exchange_weak(worst, took)) {
  }
  if (!names(error, victim)) return "the error does not name rank " + std::to_string(victim) + ": " + error;
  if (error.find(operation) == std::string::npos) return "the error does not name the operation: " + error;
  if (took > kHangMs) return "the error came after " + std::to_string(took) + " ms";
  return "";
}

}  // namespace deaths
