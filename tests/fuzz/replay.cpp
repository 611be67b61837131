// Stands in for libFuzzer where the compiler has none: gives a fuzz target every file of the folders named,
// and a few generated inputs.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  std::vector<std::string> inputs{std::string()};
  for (int i = 1; i < argc; ++i) {
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i], failure)) {
      std::ifstream file(entry.path(), std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  const size_t seeds = inputs.size();
  std::mt19937_64 random(20261120);
  for (int i = 0; i < 2000; ++i) {
    std::string changed = inputs[random() % seeds];
    for (uint64_t edits = 1 + random() % 8; edits > 0; --edits) {
      if (changed.empty() || random() % 4 == 0) {
        changed.insert(changed.begin() + static_cast<long>(random() % (changed.size() + 1)),
                       static_cast<char>(random()));
      } else {
        changed[random() % changed.size()] = static_cast<char>(random());
      }
    }
    inputs.push_back(std::move(changed));
  }
  for (const std::string& input : inputs) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }
  std::printf("%zu seeds, %zu inputs\n", seeds - 1, inputs.size());
}
