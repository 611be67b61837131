#include "library.hpp"

#include <dlfcn.h>

namespace tutti::perf {
namespace {

template <typename Function>
void find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

Library load() {
  Library found;
  find(found.tuttiVersion, "tuttiGetVersion");
  find(found.streamCreate, "tuttiStreamCreate");
  find(found.streamQuery, "tuttiStreamQuery");
  find(found.streamDestroy, "tuttiStreamDestroy");
  find(found.allToAllv, "tuttiAllToAllv");
  find(found.describe, "tuttiCommDescribe");
  find(found.explain, "tuttiExplain");
  find(found.allToAll, "ncclAlltoAll");
  find(found.gather, "ncclGather");
  find(found.scatter, "ncclScatter");
  find(found.memAlloc, "ncclMemAlloc");
  find(found.memFree, "ncclMemFree");
  find(found.commRegister, "ncclCommRegister");
  find(found.commDeregister, "ncclCommDeregister");
  find(found.windowRegister, "ncclCommWindowRegister");
  find(found.windowDeregister, "ncclCommWindowDeregister");
  find(found.lastError, "ncclGetLastError");
  if (ncclGetVersion(&found.version) != ncclSuccess) found.version = 0;
  if (found.tuttiVersion && found.tuttiVersion(&found.ownVersion) != ncclSuccess) found.ownVersion = -1;
  return found;
}

}  // namespace

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

Status check(ncclResult_t result, const char* call, ncclComm_t comm) {
  if (result == ncclSuccess) return {};
  std::string_view name(call);
  name = name.substr(0, name.find('('));
  const char* story = library().lastError ? library().lastError(comm) : nullptr;
  std::string text = fmt::format("{}: {}", name, ncclGetErrorString(result));
  if (story && *story) text += fmt::format(" ({})", story);
  return Error(static_cast<Code>(result), std::move(text));
}

}  // namespace tutti::perf
