#include "split.hpp"

#include <cctype>
#include <cstdlib>
#include <string>

namespace tutti::perf {
namespace {

Result<unsigned long> parse(std::string text, int base, std::string_view variable) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.erase(0, 1);
  if (base == 0 && text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'B')) {
    text.erase(0, 2);
    base = 2;
  }
  char* end = nullptr;
  unsigned long value = std::strtoul(text.c_str(), &end, base);
  if (text.empty() || !std::isxdigit(static_cast<unsigned char>(text[0])) || *end != '\0') {
    return makeError(Code::InvalidArgument, "{}: '{}' is not a number", variable, text);
  }
  return value;
}

}  // namespace

Result<int> splitColor(const char* split, const char* mask, int process) {
  auto rank = static_cast<unsigned long>(process);
  if (mask) {
    TUTTI_ASSIGN(unsigned long bits, parse(mask, 16, "NCCL_TESTS_SPLIT_MASK"));
    return static_cast<int>(rank & bits);
  }
  if (!split) return 0;

  struct Operation {
    std::string_view word;
    char symbol;
  };
  std::string upper;
  for (const char* c = split; *c; ++c)
    upper += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  for (Operation operation : {Operation{"AND", '&'}, {"OR", '|'}, {"MOD", '%'}, {"DIV", '/'}}) {
    size_t used = 0;
    if (upper.starts_with(operation.word)) used = operation.word.size();
    if (upper.starts_with(operation.symbol)) used = 1;
    if (used == 0) continue;
    TUTTI_ASSIGN(unsigned long value, parse(split + used, 0, "NCCL_TESTS_SPLIT"));
    bool divides = operation.symbol == '%' || operation.symbol == '/';
    if (divides && value == 0) return makeError(Code::InvalidArgument, "NCCL_TESTS_SPLIT: division by 0");
    switch (operation.symbol) {
      case '&':
        return static_cast<int>(rank & value);
      case '|':
        return static_cast<int>(rank | value);
      case '%':
        return static_cast<int>(rank % value);
      default:
        return static_cast<int>(rank / value);
    }
  }
  return makeError(Code::InvalidArgument, "NCCL_TESTS_SPLIT: '{}' is not AND, OR, MOD or DIV with a value",
                   split);
}

}  // namespace tutti::perf
