#include "sim/step_file.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/bytes.hpp"

namespace tutti::sim {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostItems = 4000;

class StepReader {
 public:
  StepReader(std::string_view text, std::string_view file, const algos::Limits& base)
      : text_(text), file_(file), base_(base) {}

  Result<StepFile> read() {
    ordered_json j;
    try {
      j = ordered_json::parse(text_.begin(), text_.end(), nullptr, true, true);
    } catch (const nlohmann::json::parse_error& error) {
      const auto upTo = text_.substr(0, std::min(text_.size(), error.byte > 0 ? error.byte - 1 : 0));
      return makeError(Code::InvalidArgument, "{}:{}: not JSON: {}", file_,
                       1 + std::count(upTo.begin(), upTo.end(), '\n'), error.what());
    }
    if (!j.is_object()) return fail("", "not an object with grid and items");
    TUTTI_TRY(onlyKeys(j, {"name", "grid", "items"}, ""));
    if (j.contains("name") && j["name"].is_string()) step_.name = j["name"].get<std::string>();
    TUTTI_TRY(readGrid(j));
    if (!j.contains("items") || !j["items"].is_array()) return fail("items", "items is not a list");
    TUTTI_TRY(readItems(j["items"], {}));
    if (step_.workload.items.empty()) return fail("items", "there are no items");
    TUTTI_TRY(step_.workload.check());
    return std::move(step_);
  }

 private:
  struct Axis {
    std::string name;
    int size, stride;
  };

  /// `word`: a text of the file near which the fault is.
  Error fail(const std::string& word, const std::string& what) const {
    size_t at = word.empty() ? 0 : text_.find("\"" + word + "\"");
    if (at == std::string_view::npos) at = 0;
    const auto upTo = text_.substr(0, at);
    return makeError(Code::InvalidArgument, "{}:{}: {}", file_,
                     1 + std::count(upTo.begin(), upTo.end(), '\n'), what);
  }
  Status onlyKeys(const ordered_json& j, std::initializer_list<std::string_view> known,
                  const std::string& name) const {
    for (const auto& [key, value] : j.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      return fail(key, fmt::format("{}\"{}\" is not known here; {} are", name.empty() ? "" : name + ": ", key,
                                   fmt::join(known, ", ")));
    }
    return {};
  }

  Status readGrid(const ordered_json& j) {
    if (!j.contains("grid") || !j["grid"].is_object() || j["grid"].empty())
      return fail("grid", "grid is not like {\"dp\": 4, \"tp\": 8} (the last one is that of neighbours)");
    int64_t ranks = 1;
    for (const auto& [name, size] : j["grid"].items()) {
      if (!size.is_number_integer() || size.get<int64_t>() < 1 || size.get<int64_t>() > 1 << 20)
        return fail(name, fmt::format("grid: {} is not a number from 1 to {}", name, 1 << 20));
      axes_.push_back({name, size.get<int>(), 1});
      ranks *= size.get<int64_t>();
      if (ranks > 1 << 22) return fail(name, "the grid has more than 4194304 ranks");
    }
    for (size_t i = axes_.size(); i-- > 1;) axes_[i - 1].stride = axes_[i].stride * axes_[i].size;
    step_.workload.nRanks = static_cast<int>(ranks);
    return {};
  }

  /// `{i}` in names becomes the number of the repetition.
  static std::string filled(std::string text, const std::map<std::string, int>& loops) {
    for (const auto& [name, value] : loops) {
      for (size_t at = text.find("{" + name + "}"); at != std::string::npos; at = text.find("{" + name + "}"))
        text.replace(at, name.size() + 2, std::to_string(value));
      const std::string before = "{" + name + "-1}";
      for (size_t at = text.find(before); at != std::string::npos; at = text.find(before))
        text.replace(at, before.size(), std::to_string(value - 1));
    }
    return text;
  }

  Status readItems(const ordered_json& items, const std::map<std::string, int>& loops) {
    for (const ordered_json& j : items) {
      if (!j.is_object()) return fail("items", "an item is not an object");
      if (j.contains("repeat")) {
        TUTTI_TRY(onlyKeys(j, {"repeat", "as", "items"}, "repeat"));
        if (!j["repeat"].is_number_integer() || j["repeat"].get<int64_t>() < 0 ||
            j["repeat"].get<int64_t>() > 4000)
          return fail("repeat", "repeat is not a number from 0 to 4000");
        if (!j.contains("items") || !j["items"].is_array())
          return fail("repeat", "a repeat without a list of items");
        auto inner = loops;
        const std::string as = j.contains("as") && j["as"].is_string() ? j["as"].get<std::string>() : "i";
        for (int i = 0; i < j["repeat"].get<int>(); ++i) {
          inner[as] = i;
          TUTTI_TRY(readItems(j["items"], inner));
        }
        continue;
      }
      TUTTI_TRY(readItem(j, loops));
    }
    return {};
  }

  Status readItem(const ordered_json& j, const std::map<std::string, int>& loops) {
    if (!j.contains("name") || !j["name"].is_string()) return fail("items", "an item has no name");
    const std::string written = j["name"].get<std::string>();
    Item item;
    item.name = filled(written, loops);
    auto& items = step_.workload.items;
    if (items.size() >= kMostItems) return fail(written, fmt::format("more than {} items", kMostItems));
    if (byName_.count(item.name) > 0) return fail(written, fmt::format("\"{}\" stands twice", item.name));
    TUTTI_TRY(onlyKeys(j,
                       {"name", "compute_us", "allreduce", "allgather", "reducescatter", "alltoall",
                        "broadcast", "send", "over", "from", "to", "on", "after", "stream", "algo", "type"},
                       item.name));
    std::string stream = "compute";
    if (j.contains("compute_us")) {
      if (!j["compute_us"].is_number() || !(j["compute_us"].get<double>() >= 0) ||
          j["compute_us"].get<double>() > 1e12)
        return fail(written, item.name + ": compute_us is not a number of 0 or more");
      item.computes = true;
      item.computeUs = j["compute_us"].get<double>();
      item.groups = Groups::all(1);
    } else {
      TUTTI_TRY(readCall(j, written, item));
      stream = j["over"].get<std::string>();
    }
    if (j.contains("on")) TUTTI_TRY(readOn(j["on"], written, item.groups));
    if (j.contains("stream")) {
      if (!j["stream"].is_string()) return fail(written, item.name + ": stream is not a text");
      stream = j["stream"].get<std::string>();
    }
    // In the order of its stream; a call without "after" also after the computing that stands before it.
    if (auto last = lastOf_.find(stream); last != lastOf_.end()) item.after.push_back(last->second);
    if (j.contains("after")) {
      const ordered_json names = j["after"].is_array() ? j["after"] : ordered_json::array({j["after"]});
      for (const ordered_json& name : names) {
        if (!name.is_string()) return fail(written, item.name + ": after is not a name or a list of names");
        const std::string other = filled(name.get<std::string>(), loops);
        auto at = byName_.find(other);
        if (at == byName_.end())
          return fail(written, fmt::format("{}: it comes after \"{}\", which does not stand before it",
                                           item.name, other));
        item.after.push_back(at->second);
      }
    } else if (!item.computes && lastCompute_ >= 0) {
      item.after.push_back(lastCompute_);
    }
    std::sort(item.after.begin(), item.after.end());
    item.after.erase(std::unique(item.after.begin(), item.after.end()), item.after.end());
    const int number = static_cast<int>(items.size());
    byName_[item.name] = number;
    lastOf_[stream] = number;
    if (item.computes) lastCompute_ = number;
    items.push_back(std::move(item));
    return {};
  }

  Status readCall(const ordered_json& j, const std::string& written, Item& item) {
    using algos::Collective;
    constexpr std::pair<const char*, Collective> kCalls[] = {
        {"allreduce", Collective::AllReduce},         {"allgather", Collective::AllGather},
        {"reducescatter", Collective::ReduceScatter}, {"alltoall", Collective::AllToAll},
        {"broadcast", Collective::Broadcast},         {"send", Collective::Broadcast}};
    const char* call = nullptr;
    for (const auto& [name, collective] : kCalls) {
      if (!j.contains(name)) continue;
      if (call != nullptr) return fail(written, fmt::format("{}: {} and {} at once", item.name, call, name));
      call = name;
      item.request.collective = collective;
    }
    if (call == nullptr) return fail(written, item.name + ": neither compute_us nor a call");
    const bool sends = std::string_view(call) == "send";
    std::optional<int64_t> bytes;
    if (j[call].is_string()) bytes = parseBytes(j[call].get<std::string>());
    if (j[call].is_number_integer()) bytes = j[call].get<int64_t>();
    if (!bytes || *bytes < 1 || *bytes > int64_t{1} << 46)
      return fail(written, fmt::format("{}: {} is not a size like \"64M\"", item.name, j[call].dump()));
    if (!j.contains("over") || !j["over"].is_string())
      return fail(written, item.name + ": over which axis of the grid?");
    const Axis* axis = axisOf(j["over"].get<std::string>());
    if (axis == nullptr)
      return fail(written,
                  fmt::format("{}: the grid has no axis \"{}\"", item.name, j["over"].get<std::string>()));
    item.groups.size = axis->size;
    item.groups.stride = axis->stride;
    if (sends) {
      for (const char* end : {"from", "to"}) {
        if (!j.contains(end) || !j[end].is_number_integer() || j[end].get<int64_t>() < 0 ||
            j[end].get<int64_t>() >= axis->size)
          return fail(written, fmt::format("{}: {} is not a number below {}", item.name, end, axis->size));
        item.groups.digits.push_back(j[end].get<int>());
      }
      if (item.groups.digits[0] == item.groups.digits[1])
        return fail(written, item.name + ": it sends to itself");
    }
    item.request.nRanks = item.groups.members();
    if (j.contains("type")) {
      const auto type = j["type"].is_string() ? dataTypeFromName(j["type"].get<std::string>()) : std::nullopt;
      if (!type) return fail(written, item.name + ": type is not the name of a type");
      item.request.type = *type;
    }
    setSize(item.request, static_cast<size_t>(*bytes));
    item.limits = base_;
    item.algorithm =
        item.request.collective == Collective::AllToAll ? algos::Algorithm::Pairwise : algos::Algorithm::Ring;
    if (j.contains("algo")) {
      const auto algorithm =
          j["algo"].is_string() ? algos::algorithmFromName(j["algo"].get<std::string>()) : std::nullopt;
      if (!algorithm)
        return fail(written, fmt::format("{}: {} is no algorithm", item.name, j["algo"].dump()));
      item.algorithm = *algorithm;
    }
    return {};
  }

  Status readOn(const ordered_json& on, const std::string& written, Groups& groups) const {
    if (!on.is_object()) return fail(written, written + ": on is not like {\"pp\": 0}");
    for (const auto& [name, digit] : on.items()) {
      const Axis* axis = axisOf(name);
      if (axis == nullptr || !digit.is_number_integer() || digit.get<int64_t>() < 0 ||
          digit.get<int64_t>() >= axis->size)
        return fail(written,
                    fmt::format("{}: on: \"{}\": {} is no place in the grid", written, name, digit.dump()));
      if (groups.size > 1 && groups.stride == axis->stride)
        return fail(written, fmt::format("{}: on and over name the same axis {}", written, name));
      groups.only.push_back({axis->stride, axis->size, digit.get<int>()});
    }
    return {};
  }

  const Axis* axisOf(const std::string& name) const {
    for (const Axis& axis : axes_)
      if (axis.name == name) return &axis;
    return nullptr;
  }

  std::string_view text_, file_;
  const algos::Limits& base_;
  std::vector<Axis> axes_;
  StepFile step_;
  std::map<std::string, int> byName_, lastOf_;
  int lastCompute_ = -1;
};

}  // namespace

Result<StepFile> parseStepFile(std::string_view json, std::string_view fileName, const algos::Limits& base) {
  return StepReader(json, fileName, base).read();
}

StepTimes timesOf(const Report& report) {
  StepTimes times;
  times.iterationUs = usFromPs(report.end);
  times.computeUs = usFromPs(report.computing);
  times.exposedUs = times.iterationUs - times.computeUs;
  return times;
}

}  // namespace tutti::sim
