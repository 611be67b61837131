#include "json_report.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>

#include "machine.hpp"

namespace tutti::perf {
namespace {

using Json = nlohmann::ordered_json;

/// nccl-tests writes truth values as strings.
Json truth(bool value) {
  return value ? "true" : "false";
}

Json number(double value) {
  return std::isnan(value) ? Json("nan") : Json(value);
}

/// Of the environment only what steers a run goes into the file, and nothing that lets others into it.
bool mattersToARun(std::string_view variable) {
  std::string_view name = variable.substr(0, variable.find('='));
  for (std::string_view secret : {"SECRET", "TOKEN", "PASS", "KEY", "COMM_ID", "TUTTI_JOB"}) {
    if (name.find(secret) != name.npos) return false;
  }
  for (std::string_view exact : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"}) {
    if (name == exact) return true;
  }
  for (std::string_view prefix :
       {"NCCL_", "TUTTI_", "OMPI_COMM_WORLD_", "PMI_", "SLURM_PROCID", "SLURM_NTASKS", "MASTER_"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

Json microseconds(const std::vector<double>& seconds) {
  Json list = Json::array();
  for (double value : seconds) list.push_back(value * 1e6);
  return list;
}

Json directionJson(const Options& options, const std::optional<Measurement>& measured) {
  if (!measured) return nullptr;
  Json json;
  json[options.cpuTime ? "cpu_time" : "time"] = number(measured->microseconds);
  json["alg_bw"] = number(measured->algorithmGBps);
  json["bus_bw"] = number(measured->busGBps);
  json["nwrong"] = measured->wrong ? Json(static_cast<double>(*measured->wrong)) : Json(nullptr);
  return json;
}

Json iterationJson(const Options& options, const Measurement& measured) {
  const Statistics& statistics = *measured.perIteration;
  Json json;
  json["skipped_iterations"] = options.perIterationSkip;
  json["min_us"] = statistics.min * 1e6;
  json["max_us"] = statistics.max * 1e6;
  json["avg_us"] = statistics.mean * 1e6;
  json["p50_us"] = statistics.p50 * 1e6;
  json["p95_us"] = statistics.p95 * 1e6;
  json["p99_us"] = statistics.p99 * 1e6;
  json["stdev_us"] = statistics.deviation * 1e6;
  json["cv_pct"] = statistics.variationPercent();
  json["times_us"] = microseconds(measured.iterationSeconds);
  if (measured.processSeconds.size() > 1) {
    Json& processes = json["per_process_max_times_us"] = Json::array();
    for (const auto& times : measured.processSeconds) processes.push_back(microseconds(times));
  }
  return json;
}

}  // namespace

struct JsonReport::Document {
  Json root;
  Json tutti;
  Json results = Json::array();
};

JsonReport::JsonReport(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), document_(std::make_unique<Document>()) {}

JsonReport::~JsonReport() {
  if (fd_ >= 0) close(fd_);
}

Result<std::unique_ptr<JsonReport>> JsonReport::open(const std::string& path, int argc, char** argv,
                                                     char** environment) {
  std::string name = path;
  int fd = -1;
  for (int attempt = 0; attempt < 10000; ++attempt) {
    fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0 || errno != EEXIST) break;
    name = fmt::format("{}.{}", path, attempt);
  }
  if (fd < 0) return makeSystemError(errno, "cannot write -J file '{}'", name);

  std::unique_ptr<JsonReport> report(new JsonReport(name, fd));
  Json& root = report->document_->root;
  root["version"] = 3;
  root["start_time"] = timeStamp();
  root["args"] = Json::array();
  for (int i = 0; i < argc; ++i) root["args"].push_back(argv[i]);
  root["env"] = Json::array();
  for (char** variable = environment; variable && *variable; ++variable) {
    if (mattersToARun(*variable)) root["env"].push_back(*variable);
  }
  return report;
}

void JsonReport::config(const Options& options, const Versions& versions,
                        const std::vector<RankInfo>& devices, const OwnFacts& facts) {
  Json& root = document_->root;
  root["nccl_version"] = versions.library;
  Json& config = root["config"];
  config["nthreads"] = options.threads;
  config["ngpus"] = options.ranksPerThread;
  config["minimum_bytes"] = options.minBytes;
  config["maximum_bytes"] = options.maxBytes;
  if (options.stepFactor > 1) {
    config["step_factor"] = options.stepFactor;
  } else {
    config["step_bytes"] = options.stepBytes;
  }
  config["warmup_iters"] = options.warmups;
  config["iterations"] = options.timedIterations();
  config["aggregated_iterations"] = options.aggregated;
  config["validation"] = options.checks;
  config["graph"] = 0;
  config["blocking_collectives"] = truth(options.blocking != 0);
  config["per_iter_timing"] = truth(options.perIteration);
  config["per_iter_skip"] = options.perIterationSkip;
  config["parallel_init"] = truth(options.parallelInit);
  config["devices"] = Json::array();
  for (const RankInfo& info : devices) {
    config["devices"].push_back({{"rank", info.rank},
                                 {"group", info.group},
                                 {"pid", info.pid},
                                 {"hostname", info.host},
                                 {"device", info.device},
                                 {"device_hex", "host memory"},
                                 {"device_info", info.description}});
  }
  document_->tutti = {{"version", facts.version},
                      {"launcher", facts.launcher},
                      {"cpu", facts.cpu},
                      {"cores", facts.cores},
                      {"transport", facts.transport},
                      {"algorithms", facts.algorithms},
                      {"registration", options.registration},
                      {"buffers", options.reuse == Reuse::Same   ? "same"
                                  : options.reuse == Reuse::Cold ? "cold"
                                                                 : "shift"},
                      {"streams", options.usesStreams()}};
}

void JsonReport::row(const Options& options, const Row& row) {
  Json json;
  json["size"] = row.bytes;
  json["count"] = row.count;
  json["type"] = row.type;
  json["redop"] = row.op;
  json["root"] = fmt::format("{:>6}", row.root);
  json["out_of_place"] = directionJson(options, row.outOfPlace);
  if (row.outOfPlace && row.outOfPlace->perIteration) {
    json["out_of_place_per_iter"] = iterationJson(options, *row.outOfPlace);
  }
  json["in_place"] = directionJson(options, row.inPlace);
  if (row.inPlace && row.inPlace->perIteration)
    json["in_place_per_iter"] = iterationJson(options, *row.inPlace);
  json["actual_iterations"] = options.timedIterations();
  json["experiment_name"] = "";
  document_->results.push_back(std::move(json));
}

Status JsonReport::finish(int wrongRows, double bandwidth, std::optional<double> minBandwidth,
                          const std::string& error) {
  Json& root = document_->root;
  root["results"] = std::move(document_->results);
  root["out_of_bounds"] = {{"count", wrongRows}, {"okay", truth(wrongRows == 0)}};
  root["average_bus_bandwidth"] = {
      {"bandwidth", number(bandwidth)},
      {"okay", minBandwidth ? truth(enough(bandwidth, minBandwidth)) : Json("unchecked")}};
  root["errors"] = Json::array();
  if (!error.empty()) root["errors"].push_back(error);
  root["tutti"] = std::move(document_->tutti);
  root["end_time"] = timeStamp();

  // Names of files and hosts may hold any bytes: what is no UTF-8 is replaced, not thrown about.
  std::string text = root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  size_t at = 0;
  while (at < text.size()) {
    ssize_t written = write(fd_, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return makeSystemError(errno, "cannot write -J file '{}'", path_);
    at += static_cast<size_t>(written);
  }
  close(fd_);
  fd_ = -1;
  return {};
}

}  // namespace tutti::perf
