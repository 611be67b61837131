#include "launch/slurm.hpp"

#include "core/bytes.hpp"

namespace tutti::launch {
namespace {

const char* firstSet(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = environment(name);
    if (value && *value) return value;
  }
  return nullptr;
}

}  // namespace

std::string slurmFirstHost(std::string_view list) {
  std::string host;
  for (size_t at = 0; at < list.size() && list[at] != ','; ++at) {
    if (list[at] != '[') {
      host += list[at];
      continue;
    }
    // "[01-03,7]": the first number of the bracket, with its leading zeros.
    size_t close = list.find(']', at);
    if (close == std::string_view::npos) return "";
    std::string_view inside = list.substr(at + 1, close - at - 1);
    host += inside.substr(0, inside.find_first_of("-,"));
    at = close;
  }
  return host;
}

std::vector<int> slurmTasksPerNode(std::string_view text) {
  std::vector<int> counts;
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(item.size() < text.size() ? item.size() + 1 : text.size());
    int64_t repeat = 1;
    if (size_t open = item.find("(x"); open != std::string_view::npos && item.back() == ')') {
      auto times = parseInteger(item.substr(open + 2, item.size() - open - 3));
      if (!times || *times < 1 || *times > 1 << 16) return {};
      repeat = *times;
      item = item.substr(0, open);
    }
    auto count = parseInteger(item);
    if (!count || *count < 0 || *count > 1 << 16 || counts.size() + repeat > 1 << 16) return {};
    counts.insert(counts.end(), static_cast<size_t>(repeat), static_cast<int>(*count));
  }
  return counts;
}

int slurmNodeCount(const Environment& environment) {
  const char* text = firstSet(environment, {"SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"});
  auto count = parseInteger(text ? text : "");
  return count && *count > 0 && *count < 1 << 16 ? static_cast<int>(*count) : 0;
}

std::string slurmRankZeroHost(const Environment& environment) {
  if (const char* list =
          firstSet(environment, {"SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST"})) {
    return slurmFirstHost(list);
  }
  // Where srun itself ran: rank 0's host only if the job was started from there, but there is nothing better.
  const char* address = firstSet(environment, {"SLURM_LAUNCH_NODE_IPADDR"});
  return address ? address : "";
}

}  // namespace tutti::launch
