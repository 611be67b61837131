// Environment and files for one test, put back after it.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/param.hpp"

namespace tutti {

/// Sets variables until its end, and reloads the parameters at each change.
class ScopedEnv {
 public:
  ScopedEnv() = default;
  ~ScopedEnv() {
    while (!before_.empty()) {
      auto& [name, value] = before_.back();
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
      before_.pop_back();
    }
    params::reload();
  }
  ScopedEnv(const ScopedEnv&) = delete;
  ScopedEnv& operator=(const ScopedEnv&) = delete;

  void set(const std::string& name, const std::string& value) {
    const char* old = getenv(name.c_str());
    before_.emplace_back(name, old != nullptr ? std::optional<std::string>(old) : std::nullopt);
    setenv(name.c_str(), value.c_str(), 1);
    params::reload();
  }
  void unset(const std::string& name) {
    set(name, "");
    unsetenv(name.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

/// A folder of its own under the temporary folder, removed at its end.
class ScopedFolder {
 public:
  ScopedFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tutti_core_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~ScopedFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScopedFolder(const ScopedFolder&) = delete;
  ScopedFolder& operator=(const ScopedFolder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }

 private:
  std::string path_;
};

}  // namespace tutti
