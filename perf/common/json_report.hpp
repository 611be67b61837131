// The -J file: nccl-tests' JSON (version 3) with one object of ours, "tutti".
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "options.hpp"
#include "table.hpp"

namespace tutti::perf {

/// What ours adds to the document.
struct OwnFacts {
  int version = -1;
  std::string launcher;
  std::string cpu;
  int cores = 0;
  std::string transport;
  std::vector<std::string> algorithms;  ///< as in the header: "float sum: 8 B - 4 KiB oneshot/LL, ..."
};

/// Collects one run and writes it at the end. Not thread-safe.
class JsonReport {
 public:
  /// Takes the file now, so that a run is not lost at its end. An existing file is not overwritten:
  /// "x.json.0" is tried next, and so on. Only variables that matter to a run (NCCL_, TUTTI_, launchers') are
  /// kept of the environment.
  static Result<std::unique_ptr<JsonReport>> open(const std::string& path, int argc, char** argv,
                                                  char** environment);
  ~JsonReport();

  const std::string& path() const { return path_; }

  void config(const Options& options, const Versions& versions, const std::vector<RankInfo>& devices,
              const OwnFacts& facts);
  void row(const Options& options, const Row& row);
  /// Writes the document.
  Status finish(int wrongRows, double bandwidth, std::optional<double> minBandwidth,
                const std::string& error);

 private:
  struct Document;
  JsonReport(std::string path, int fd);

  std::string path_;
  int fd_;
  std::unique_ptr<Document> document_;
};

}  // namespace tutti::perf
