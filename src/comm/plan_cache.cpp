#include "comm/plan_cache.hpp"

namespace tutti::comm {
namespace {

/// One round of a 64-bit mixer (the finaliser of SplitMix64, Steele et al. 2014).
uint64_t mix(uint64_t hash, uint64_t value) {
  uint64_t z = hash + 0x9e3779b97f4a7c15 + value;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t signatureOf(const algos::Request& request, bool counted) {
  uint64_t hash = mix(0, static_cast<uint64_t>(request.collective));
  hash = mix(hash, counted ? request.count : 0);
  hash = mix(hash, static_cast<uint64_t>(request.type));
  if (algos::reduces(request.collective)) hash = mix(hash, static_cast<uint64_t>(request.op));
  if (algos::hasRoot(request.collective)) hash = mix(hash, static_cast<uint64_t>(request.root));
  return hash;
}

size_t PlanKeyHash::operator()(const PlanKey& key) const {
  uint64_t hash = signatureOf(key.request, true);
  hash = mix(hash, key.optionsHash);
  return mix(hash, static_cast<uint64_t>(key.sendTo + 1) << 32 |
                       static_cast<uint32_t>(key.recvFrom + 1) << 2 | key.shared << 1 | key.request.inPlace);
}

}  // namespace tutti::comm
