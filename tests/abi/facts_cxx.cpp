// The header as C++: sizes, offsets and values at compile time; the types of the calls when run. Prints what
// differs.
#include <nccl.h>
#include <nccl_device.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <typeinfo>

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "sizeof " #type);
#define OFFSET(type, member, bytes) \
  static_assert(offsetof(type, member) == (bytes), "offset of " #type "." #member);
#define VALUE(expression, value) static_assert((long long)(expression) == (value), #expression);
#define SIGNATURE(call, type)
#include "facts.inc"
#undef SIZE
#undef OFFSET
#undef VALUE
#undef SIGNATURE

int main() {
  int wrong = 0;
#define SIZE(type, bytes)
#define OFFSET(type, member, bytes)
#define VALUE(expression, value)
#define SIGNATURE(call, type)                                                                             \
  if (std::strcmp(typeid(static_cast<decltype(&call)>(nullptr)).name(), type)) {                          \
    std::printf("%s is %s, not %s\n", #call, typeid(static_cast<decltype(&call)>(nullptr)).name(), type); \
    ++wrong;                                                                                              \
  }
#include "facts.inc"
  return wrong;
}
