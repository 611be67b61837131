#include "topology/drivers/hwloc.hpp"

#include <dlfcn.h>

#include <memory>

namespace tutti::topology {

Result<std::string> exportHwlocXml() {
  std::unique_ptr<void, int (*)(void*)> library(dlopen("libhwloc.so.15", RTLD_NOW | RTLD_LOCAL),
                                                [](void* l) { return l ? dlclose(l) : 0; });
  if (!library) return makeError(Code::SystemError, "libhwloc.so.15 cannot be opened: {}", dlerror());
  auto find = [&](const char* name) { return dlsym(library.get(), name); };
  auto init = reinterpret_cast<int (*)(void**)>(find("hwloc_topology_init"));
  auto ioFilter = reinterpret_cast<int (*)(void*, int)>(find("hwloc_topology_set_io_types_filter"));
  auto load = reinterpret_cast<int (*)(void*)>(find("hwloc_topology_load"));
  auto toXml =
      reinterpret_cast<int (*)(void*, char**, int*, unsigned long)>(find("hwloc_topology_export_xmlbuffer"));
  auto freeXml = reinterpret_cast<void (*)(void*, char*)>(find("hwloc_free_xmlbuffer"));
  auto destroy = reinterpret_cast<void (*)(void*)>(find("hwloc_topology_destroy"));
  if (!init || !ioFilter || !load || !toXml || !freeXml || !destroy)
    return makeError(Code::SystemError, "libhwloc.so.15 lacks functions");
  void* topology = nullptr;
  if (init(&topology) != 0) return makeError(Code::SystemError, "hwloc does not start");
  std::unique_ptr<void, void (*)(void*)> owner(topology, destroy);
  constexpr int kKeepImportant = 3;
  ioFilter(topology, kKeepImportant);
  if (load(topology) != 0) return makeError(Code::SystemError, "hwloc cannot read this machine");
  char* buffer = nullptr;
  int length = 0;
  if (toXml(topology, &buffer, &length, 0) != 0 || !buffer)
    return makeError(Code::SystemError, "hwloc cannot write what it has read");
  std::string text(buffer);
  freeXml(topology, buffer);
  return text;
}

}  // namespace tutti::topology
