// libnccl.so.2 shows what NVIDIA's shows, weak and strong as there, plus what tutti.h declares, and nothing
// else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

struct Symbol {
  char kind;
  std::string address;
};

std::map<std::string, Symbol> exported() {
  std::map<std::string, Symbol> symbols;
  FILE* nm = popen(TUTTI_NM " -D --defined-only " TUTTI_LIBNCCL, "r");
  EXPECT_NE(nm, nullptr);
  char address[64], kind, name[256];
  while (nm != nullptr && std::fscanf(nm, "%63s %c %255s", address, &kind, name) == 3)
    symbols[name] = {kind, address};
  EXPECT_EQ(pclose(nm), 0);
  return symbols;
}

std::map<std::string, char> listed() {
  std::map<std::string, char> symbols;
  std::ifstream file(TUTTI_TEST_DATA "/nccl-2.32.3-symbols.txt");
  EXPECT_TRUE(file.good());
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name;
    char kind = '?';
    words >> name >> kind;
    symbols[name] = kind;
  }
  return symbols;
}

std::set<std::string> declaredByTutti() {
  std::ifstream file(TUTTI_INCLUDE "/tutti/tutti.h");
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  std::set<std::string> names;
  const std::regex declaration("ncclResult_t (tutti\\w+)\\(");
  for (std::sregex_iterator it(all.begin(), all.end(), declaration), end; it != end; ++it)
    names.insert((*it)[1]);
  return names;
}

TEST(Symbols, EveryOneOfNcclIsThereAndOfTheSameKind) {
  const auto ours = exported();
  for (const auto& [name, kind] : listed()) {
    auto it = ours.find(name);
    ASSERT_NE(it, ours.end()) << name << " is not exported";
    EXPECT_EQ(it->second.kind, kind) << name;
  }
}

TEST(Symbols, NothingElse) {
  const auto list = listed();
  const auto own = declaredByTutti();
  EXPECT_GT(own.size(), 5u);
  const auto ours = exported();
  for (const auto& [name, symbol] : ours) EXPECT_TRUE(list.count(name) || own.count(name)) << name;
  for (const std::string& name : own)
    EXPECT_TRUE(ours.count(name)) << name << " is declared but not exported";
}

TEST(Symbols, TwinsAreOneFunction) {
  const auto ours = exported();
  int twins = 0;
  for (const auto& [name, symbol] : ours) {
    if (name[0] != 'p') continue;
    EXPECT_EQ(symbol.address, ours.at(name.substr(1)).address) << name;
    ++twins;
  }
  EXPECT_GT(twins, 90);
}

}  // namespace
