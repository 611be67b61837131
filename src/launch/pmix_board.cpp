// A PMIx client through libpmix.so.2, opened at run time. The structures are those of the PMIx standard,
// versions 3 to 5, as far as the five calls below need them.
#include <dlfcn.h>
#include <unistd.h>

#include <cstring>

#include "launch/board.hpp"

namespace tutti::launch {
namespace {

constexpr uint16_t kTypeString = 3;
constexpr uint16_t kTypeInt = 6;
constexpr uint8_t kScopeGlobal = 3;
constexpr int kNotFound = -46;

struct PmixProc {
  char nameSpace[256];
  uint32_t rank;
};

struct PmixValue {
  uint16_t type;
  union {
    char* string;
    int integer;
    char room[24];  // the largest member: two pointers and a character
    void* aligned;
  } data;
};
static_assert(sizeof(PmixValue) == 32);

struct PmixInfo {
  char key[512];
  uint32_t flags;
  PmixValue value;
};

struct PmixLibrary {
  int (*init)(PmixProc*, PmixInfo*, size_t);
  int (*put)(uint8_t scope, const char* key, PmixValue*);
  int (*commit)();
  int (*get)(const PmixProc*, const char* key, const PmixInfo*, size_t, PmixValue**);
  int (*finalize)(const PmixInfo*, size_t);
  const char* (*errorString)(int);
};

Result<PmixLibrary> loadPmix() {
  // Never closed: the library has threads of its own.
  void* handle = dlopen("libpmix.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!handle) return makeError(Code::SystemError, "libpmix.so.2 cannot be opened: {}", dlerror());
  PmixLibrary library;
  auto bind = [&](auto& to, const char* name) {
    to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(dlsym(handle, name));
    return to != nullptr;
  };
  if (!bind(library.init, "PMIx_Init") || !bind(library.put, "PMIx_Put") ||
      !bind(library.commit, "PMIx_Commit") || !bind(library.get, "PMIx_Get") ||
      !bind(library.finalize, "PMIx_Finalize") || !bind(library.errorString, "PMIx_Error_string")) {
    return Error(Code::SystemError, "libpmix.so.2 lacks a call that every PMIx has");
  }
  return library;
}

class PmixBoard final : public Board {
 public:
  PmixBoard(const PmixLibrary& library, const PmixProc& self) : library_(library), self_(self) {}
  ~PmixBoard() override { library_.finalize(nullptr, 0); }

  Status publish(const std::string& key, const std::string& value, Deadline) override {
    PmixValue entry{};
    entry.type = kTypeString;
    std::string text = value;
    entry.data.string = text.data();  // copied by the call
    TUTTI_TRY(check(library_.put(kScopeGlobal, key.c_str(), &entry), "PMIx_Put"));
    return check(library_.commit(), "PMIx_Commit");
  }

  Result<std::string> lookUp(const std::string& key, Deadline deadline) override {
    PmixInfo timeout{};
    std::strcpy(timeout.key, "pmix.timeout");
    timeout.value.type = kTypeInt;
    timeout.value.data.integer = deadline.remainingMs(86'400'000) / 1000 + 1;
    PmixProc rankZero = self_;
    rankZero.rank = 0;
    PmixValue* found = nullptr;
    // On a busy machine the server may answer "not found" before rank 0's value has reached it: ask again.
    int status = library_.get(&rankZero, key.c_str(), &timeout, 1, &found);
    while (status == kNotFound && !deadline.expired()) {
      usleep(20'000);
      status = library_.get(&rankZero, key.c_str(), &timeout, 1, &found);
    }
    TUTTI_TRY(check(status, "waiting for rank 0: PMIx_Get"));
    if (!found || found->type != kTypeString || !found->data.string) {
      return Error(Code::RemoteError, "PMIx_Get answered something other than a string");
    }
    return std::string(
        found->data.string);  // found itself is left to the end of the process: a few bytes, once
  }

 private:
  Status check(int status, const char* what) const {
    if (status == 0) return {};
    return makeError(Code::RemoteError, "{}: {} ({})", what, library_.errorString(status), status);
  }

  PmixLibrary library_;
  PmixProc self_;
};

}  // namespace

Result<std::unique_ptr<Board>> openPmixBoard() {
  TUTTI_ASSIGN(PmixLibrary library, loadPmix());
  PmixProc self{};
  if (int status = library.init(&self, nullptr, 0); status != 0) {
    return makeError(Code::RemoteError, "PMIx_Init: {} ({})", library.errorString(status), status);
  }
  return std::unique_ptr<Board>(std::make_unique<PmixBoard>(library, self));
}

}  // namespace tutti::launch
