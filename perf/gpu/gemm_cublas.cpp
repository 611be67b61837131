#include <dlfcn.h>

#include <filesystem>
#include <vector>

#include "common/failure.hpp"
#include "gemm.hpp"

namespace tutti::gpuperf {
namespace {

// The few numbers of cuBLAS's ABI that one call needs.
constexpr int kOpN = 0;
constexpr int kOpT = 1;
constexpr int kR32F = 0;
constexpr int kR16BF = 14;
constexpr int kCompute32F = 68;
constexpr int kDefaultAlgorithm = -1;

using Handle = void*;

struct Cublas {
  int (*create)(Handle*) = nullptr;
  int (*destroy)(Handle) = nullptr;
  int (*setStream)(Handle, cudaStream_t) = nullptr;
  int (*setSmCountTarget)(Handle, int) = nullptr;  // null in old versions
  int (*getVersion)(Handle, int*) = nullptr;
  int (*gemmEx)(Handle, int opA, int opB, int m, int n, int k, const void* alpha, const void* a, int typeA,
                int lda, const void* b, int typeB, int ldb, const void* beta, void* c, int typeC, int ldc,
                int compute, int algorithm) = nullptr;
};

void check(int status, const char* call) {
  if (status != 0) throw Failure("cuBLAS status " + std::to_string(status) + " from " + call);
}

class CublasGemm : public Gemm {
 public:
  CublasGemm(const Cublas& api, int n, const void* a, const void* b, float* c)
      : api_(api), n_(n), a_(a), b_(b), c_(c) {
    check(api_.create(&handle_), "cublasCreate");
  }
  ~CublasGemm() override { (void)api_.destroy(handle_); }

  std::string name() const override {
    int version = 0;
    if (api_.getVersion != nullptr) (void)api_.getVersion(handle_, &version);
    return "cuBLAS " + std::to_string(version);
  }

  void run(cudaStream_t stream) override {
    const float one = 1, zero = 0;
    if (stream != stream_) check(api_.setStream(handle_, stream), "cublasSetStream");
    stream_ = stream;
    check(api_.gemmEx(handle_, kOpT, kOpN, n_, n_, n_, &one, a_, kR16BF, n_, b_, kR16BF, n_, &zero, c_, kR32F,
                      n_, kCompute32F, kDefaultAlgorithm),
          "cublasGemmEx");
  }

  bool planForSms(int sms) override {
    return api_.setSmCountTarget != nullptr && api_.setSmCountTarget(handle_, sms) == 0;
  }

 private:
  Cublas api_;
  Handle handle_ = nullptr;
  cudaStream_t stream_ = nullptr;
  int n_;
  const void* a_;
  const void* b_;
  float* c_;
};

// libcublas needs libcublasLt, which lies beside it and not always on the loader's path.
void* openWithNeighbour(const std::string& path) {
  std::error_code ignored;
  auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty())
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
      if (entry.path().filename().string().rfind("libcublasLt.so", 0) == 0)
        if (dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) break;
  return dlopen(path.c_str(), RTLD_NOW);
}

template <typename Function>
void lookUp(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

std::unique_ptr<Gemm> openCublas(const std::string& path, int n, const void* a, const void* b, float* c,
                                 std::string* why) {
  std::vector<std::string> names{"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
  if (!path.empty()) names.assign(1, path);
  void* library = nullptr;
  for (const std::string& name : names)
    if ((library = openWithNeighbour(name)) != nullptr) break;
  if (library == nullptr) {
    const char* error = dlerror();
    *why = error != nullptr ? error : "no libcublas";
    return nullptr;
  }
  Cublas api;
  lookUp(library, "cublasCreate_v2", &api.create);
  lookUp(library, "cublasDestroy_v2", &api.destroy);
  lookUp(library, "cublasSetStream_v2", &api.setStream);
  lookUp(library, "cublasSetSmCountTarget", &api.setSmCountTarget);
  lookUp(library, "cublasGetVersion_v2", &api.getVersion);
  lookUp(library, "cublasGemmEx", &api.gemmEx);
  if (api.create == nullptr || api.destroy == nullptr || api.setStream == nullptr || api.gemmEx == nullptr) {
    *why = "libcublas lacks cublasGemmEx";
    return nullptr;
  }
  return std::make_unique<CublasGemm>(api, n, a, b, c);
}

}  // namespace tutti::gpuperf
