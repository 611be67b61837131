#include "common/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "common/failure.hpp"

namespace tutti::gpuperf {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  if (std::fabs(value) >= 1e6 && std::fabs(value) < 9e15 && value == std::floor(value))
    std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string now() {
  std::time_t t = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&t, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return text;
}

}  // namespace

Spread spreadOf(std::vector<double> samples) {
  Spread spread;
  spread.samples = static_cast<int>(samples.size());
  if (samples.empty()) return spread;
  std::sort(samples.begin(), samples.end());
  size_t middle = samples.size() / 2;
  spread.median = samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  spread.min = samples.front();
  spread.max = samples.back();
  return spread;
}

void Row::bandwidth(double bytes, double limitGBps) {
  counter("bytes", bytes);
  if (us.median <= 0) return;
  double gbps = bytes / us.median / 1e3;
  counter("GBps", gbps);
  if (limitGBps <= 0) return;
  counter("limit_GBps", limitGBps);
  counter("ratio", gbps / limitGBps);
}

Report::Report(const Options& options, std::string program)
    : options_(options), program_(std::move(program)) {
  context("program", program_);
  context("date", now());
  context("quick", options.quick ? 1.0 : 0.0);
  context("smoke", options.smoke ? 1.0 : 0.0);
}

void Report::context(const std::string& key, const std::string& value) {
  context_.emplace_back(key, quoted(value));
  if (!options_.jsonToStdout) std::printf("%s: %s\n", key.c_str(), value.c_str());
}

void Report::context(const std::string& key, double value) {
  context_.emplace_back(key, number(value));
  if (!options_.jsonToStdout) std::printf("%s: %s\n", key.c_str(), number(value).c_str());
}

void Report::add(const Row& row) {
  rows_.push_back(row);
  if (!options_.jsonToStdout) print(row);
  auto time = std::chrono::steady_clock::now();
  if (time - lastWrite_ < std::chrono::milliseconds(500)) return;
  writeJson(false);
  lastWrite_ = time;
}

void Report::measure(const std::string& name, const std::function<void(Row&)>& body) {
  if (!options_.wants(name)) return;
  Row row;
  row.name = name;
  try {
    body(row);
  } catch (const Failure& failure) {
    row.error = failure.what();
  } catch (const NotAvailable& reason) {
    row.skipped = reason.what();
  }
  add(row);
}

void Report::fact(const std::string& name, const std::string& label) {
  if (!options_.wants(name)) return;
  Row row;
  row.name = name;
  row.label = label;
  add(row);
}

int Report::finish() {
  writeJson(true);
  if (options_.jsonToStdout) std::printf("%s", json(true).c_str());
  bool failed = std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return !row.error.empty(); });
  return failed ? 1 : 0;
}

void Report::print(const Row& row) {
  if (!headPrinted_) {
    std::printf("%-58s %14s %10s  %s\n", "Benchmark", "Time", "Iterations", "UserCounters...");
    std::printf("%s\n", std::string(110, '-').c_str());
    headPrinted_ = true;
  }
  std::printf("%-58s ", row.name.c_str());
  if (!row.error.empty()) {
    std::printf("ERROR: %s\n", row.error.c_str());
  } else if (!row.skipped.empty()) {
    std::printf("SKIPPED: %s\n", row.skipped.c_str());
  } else {
    if (row.us.samples > 0)
      std::printf("%11.3f us %10.0f  ", row.us.median, row.iterations);
    else
      std::printf("%14s %10s  ", "-", "-");
    for (const auto& [key, value] : row.counters) std::printf("%s=%s ", key.c_str(), number(value).c_str());
    std::printf("%s\n", row.label.c_str());
  }
  std::fflush(stdout);
}

std::string Report::json(bool complete) const {
  std::string out = "{\n  \"context\": {\n";
  for (const auto& [key, value] : context_) out += "    " + quoted(key) + ": " + value + ",\n";
  out += "    \"complete\": " + std::string(complete ? "true" : "false") + "\n  },\n  \"benchmarks\": [";
  bool first = true;
  for (const Row& row : rows_) {
    out += first ? "\n    {" : ",\n    {";
    first = false;
    out += "\"name\": " + quoted(row.name) + ", \"run_type\": \"iteration\"";
    if (row.us.samples > 0)
      out += ", \"iterations\": " + number(row.iterations) + ", \"samples\": " + number(row.us.samples) +
             ", \"real_time\": " + number(row.us.median) + ", \"min_time\": " + number(row.us.min) +
             ", \"max_time\": " + number(row.us.max) + ", \"time_unit\": \"us\"";
    for (const auto& [key, value] : row.counters) out += ", " + quoted(key) + ": " + number(value);
    if (!row.label.empty()) out += ", \"label\": " + quoted(row.label);
    if (!row.skipped.empty()) out += ", \"skipped\": true, \"skip_message\": " + quoted(row.skipped);
    if (!row.error.empty()) out += ", \"error_occurred\": true, \"error_message\": " + quoted(row.error);
    out += "}";
  }
  return out + "\n  ]\n}\n";
}

void Report::writeJson(bool complete) {
  if (options_.jsonPath.empty()) return;
  std::string partial = options_.jsonPath + ".part";
  FILE* file = std::fopen(partial.c_str(), "w");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot write %s\n", partial.c_str());
    return;
  }
  std::string text = json(complete);
  bool good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  good = std::fclose(file) == 0 && good;
  if (!good || std::rename(partial.c_str(), options_.jsonPath.c_str()) != 0)
    std::fprintf(stderr, "cannot write %s\n", options_.jsonPath.c_str());
}

}  // namespace tutti::gpuperf
