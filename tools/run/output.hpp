// Output of a rank on its way to ours, with "[rank] " in front of each line.
#pragma once

#include <string>

#include "core/unique_fd.hpp"

namespace tutti::tools::run {

class LabelledStream {
 public:
  LabelledStream(UniqueFd from, int to, std::string label);

  /// -1 once it has ended.
  int fd() const { return from_.get(); }
  /// Reads what is there and writes the whole lines on. Closes when the rank's side, or our own output, is
  /// closed.
  void pump();
  /// Writes what is left, also without its newline, and closes.
  void finish();

 private:
  UniqueFd from_;
  int to_;
  std::string label_;
  std::string pending_;
};

/// Writes all of it; false when nobody reads any more.
bool writeAll(int fd, std::string_view text);

}  // namespace tutti::tools::run
