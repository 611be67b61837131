#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/options.hpp"

namespace tutti::gpuperf {

// Median, smallest and largest of the samples of one row.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
  int samples = 0;
};

// The median of an even number of samples is the mean of the middle two. No samples: all zero.
Spread spreadOf(std::vector<double> samples);

// One line of the table and one entry of "benchmarks" in the JSON.
struct Row {
  std::string name;
  Spread us;              // time of one operation, in microseconds
  double iterations = 0;  // operations per sample
  // Bytes moved / time, its physical limit and the ratio are the counters GBps, limit_GBps and ratio.
  std::vector<std::pair<std::string, double>> counters;
  std::string label;    // a fact in words
  std::string skipped;  // why there is no number (not an error)
  std::string error;

  void counter(const std::string& key, double value) { counters.emplace_back(key, value); }
  // Adds GBps from `bytes` per operation and the median; with a limit also limit_GBps and ratio.
  void bandwidth(double bytes, double limitGBps);
};

// Collects rows, prints them as they come and keeps the JSON file complete at all times (a program stopped by
// its time limit leaves what it has). Not thread safe; one per process.
class Report {
 public:
  Report(const Options& options, std::string program);

  void context(const std::string& key, const std::string& value);
  void context(const std::string& key, double value);

  void add(const Row& row);
  // Runs `body` unless the filter excludes `name`. Failure and NotAvailable end up in the row; anything else
  // passes.
  void measure(const std::string& name, const std::function<void(Row&)>& body);
  // A fact that is no measurement: a row with a label.
  void fact(const std::string& name, const std::string& label);

  // Writes the JSON; returns the exit status of the program (1 if a row failed).
  int finish();

 private:
  void print(const Row& row);
  void writeJson(bool complete);
  std::string json(bool complete) const;

  const Options& options_;
  std::string program_;
  std::vector<std::pair<std::string, std::string>> context_;  // values already JSON
  std::vector<Row> rows_;
  bool headPrinted_ = false;
  std::chrono::steady_clock::time_point lastWrite_{};
};

}  // namespace tutti::gpuperf
