#include "topology/drivers/verbs.hpp"

#include <dlfcn.h>

namespace tutti::topology {
namespace {

class Verbs : public VerbsDriver {
 public:
  ~Verbs() override {
    if (library_) dlclose(library_);
  }

  Result<std::vector<std::string>> devices() override {
    if (!library_) library_ = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library_) return makeError(Code::SystemError, "libibverbs.so.1 cannot be opened: {}", dlerror());
    auto list = reinterpret_cast<void** (*)(int*)>(dlsym(library_, "ibv_get_device_list"));
    auto release = reinterpret_cast<void (*)(void**)>(dlsym(library_, "ibv_free_device_list"));
    auto name = reinterpret_cast<const char* (*)(void*)>(dlsym(library_, "ibv_get_device_name"));
    if (!list || !release || !name) return makeError(Code::SystemError, "libibverbs.so.1 lacks functions");
    int count = 0;
    void** found = list(&count);
    if (!found) return makeError(Code::SystemError, "libibverbs finds no devices");
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.emplace_back(name(found[i]));
    release(found);
    return names;
  }

 private:
  void* library_ = nullptr;
};

}  // namespace

std::unique_ptr<VerbsDriver> makeVerbsDriver() {
  return std::make_unique<Verbs>();
}

}  // namespace tutti::topology
