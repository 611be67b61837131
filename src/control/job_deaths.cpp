#include "control/job_deaths.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace tutti::control {

std::vector<Death> parseDeaths(const std::string& text, const std::string& head) {
  if (!text.starts_with(head + "\n")) return {};
  std::vector<Death> deaths;
  for (size_t at = head.size() + 1, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    std::istringstream line(text.substr(at, end - at));
    Death death;
    if (!(line >> death.rank >> death.pid) || !std::getline(line >> std::ws, death.how)) continue;
    deaths.push_back(std::move(death));
  }
  return deaths;
}

JobDeaths JobDeaths::ofThisJob() {
  JobDeaths deaths;
  const char* path = getenv("TUTTI_DEATHS");
  const char* job = getenv("TUTTI_JOB");
  const char* size = getenv("TUTTI_SIZE");
  if (path == nullptr || job == nullptr || size == nullptr) return deaths;
  deaths.head_ = job;
  deaths.fd_.reset(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  // The path leads elsewhere where process numbers are others: in a container, say.
  if (!deaths.fd_ || fstat(deaths.fd_.get(), &info) != 0 || !S_ISREG(info.st_mode)) return deaths;
  std::string text(deaths.head_.size(), '\0');
  if (pread(deaths.fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      text == deaths.head_) {
    deaths.size_ = std::atoi(size);
  }
  return deaths;
}

std::vector<Death> JobDeaths::read() const {
  constexpr size_t kMost = 1 << 20;
  struct stat info;
  if (size_ == 0 || fstat(fd_.get(), &info) != 0) return {};
  std::string text(std::min(static_cast<size_t>(info.st_size), kMost), '\0');
  const ssize_t got = pread(fd_.get(), text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return parseDeaths(text, head_);
}

}  // namespace tutti::control
