// Making communicators: join by id, split, shrink, grow.
#include <algorithm>
#include <cstring>
#include <thread>

#include "comm/group.hpp"

namespace tutti::comm {
namespace {

using control::Bytes;
using control::ControlPlane;

Communicator::Connect joining(std::vector<control::UniqueId> ids, int nRanks, int rank) {
  return [ids = std::move(ids), nRanks, rank](Bytes info, control::Wait wait, control::OnFault onFault) {
    control::JoinOptions join;
    join.ids = ids;
    join.rank = rank;
    join.nRanks = nRanks;
    join.selfInfo = std::move(info);
    join.wait = wait;
    join.describe = describeCall;
    join.onFault = std::move(onFault);
    return ControlPlane::join(std::move(join));
  };
}

Communicator::Connect deriving(ControlPlane& parent, std::vector<int> ranks, uint64_t tag) {
  return [&parent, ranks = std::move(ranks), tag](Bytes info, control::Wait wait, control::OnFault onFault) {
    control::DeriveOptions derive;
    derive.ranks = ranks;
    derive.tag = tag;
    derive.selfInfo = std::move(info);
    derive.wait = wait;
    derive.describe = describeCall;
    derive.onFault = std::move(onFault);
    return parent.derive(std::move(derive));
  };
}

Result<NewComm> launch(NewComm comm, NewComm parent, std::function<Status()> work) {
  TUTTI_TRY(submitStart({comm, std::move(work), std::move(parent)}));
  return comm;
}

template <typename T>
Bytes bytesOf(const T& value) {
  Bytes bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

}  // namespace

Result<control::UniqueId> createUniqueId() {
  return control::createUniqueId();
}

Result<NewComm> create(int nRanks, int rank, std::span<const control::UniqueId> ids,
                       const CommOptions& options) {
  auto comm = std::make_shared<Communicator>(nRanks, rank, options);
  std::vector<control::UniqueId> kept(ids.begin(), ids.end());
  return launch(comm, nullptr, [comm, kept = std::move(kept), nRanks, rank] {
    return comm->start(joining(kept, nRanks, rank), rank == 0 && nRanks > 1);
  });
}

Result<std::vector<NewComm>> createAll(std::span<const int> devices) {
  const int n = static_cast<int>(devices.size());
  TUTTI_ASSIGN(control::UniqueId id, createUniqueId());
  std::vector<NewComm> comms(n);
  std::vector<Status> results(n);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < n; ++rank) {
    comms[rank] = std::make_shared<Communicator>(n, rank, CommOptions(), devices[rank]);
    threads.emplace_back(
        [&, rank] { results[rank] = comms[rank]->start(joining({id}, n, rank), rank == 0 && n > 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (Status& result : results) TUTTI_TRY(std::move(result));
  return comms;
}

Result<NewComm> split(Communicator& parent, int color, int key, const CommOptions* options) {
  TUTTI_TRY(parent.usable());
  auto comm = std::make_shared<Communicator>(1, 0, options != nullptr ? *options : parent.options());
  std::shared_ptr<Communicator> from = parent.shared_from_this();
  auto work = [comm, from, color, key]() -> Status {
    struct Wish {
      int32_t color, key;
    };
    const uint64_t tag = from->nextSplitTag();
    TUTTI_ASSIGN(std::vector<Bytes> wishes,
                 from->control().allGather(bytesOf(Wish{color, key}), from->initWait()));
    if (color < 0) return {};
    std::vector<std::pair<int, int>> members;  // key, parent rank
    for (int r = 0; r < from->nRanks(); ++r) {
      Wish wish;
      if (wishes[r].size() != sizeof(wish))
        return makeError(Code::InternalError, "rank {} sent a malformed split request", r);
      std::memcpy(&wish, wishes[r].data(), sizeof(wish));
      if (wish.color == color) members.emplace_back(wish.key, r);
    }
    std::stable_sort(members.begin(), members.end());
    std::vector<int> ranks;
    for (auto& [wishedKey, r] : members) ranks.push_back(r);
    return comm->start(deriving(from->control(), std::move(ranks), tag));
  };
  TUTTI_ASSIGN(NewComm made, launch(comm, from, std::move(work)));
  if (color < 0) return NewComm();
  return made;
}

Result<NewComm> shrink(Communicator& parent, std::span<const int> excluded, bool abortFirst,
                       const CommOptions* options) {
  if (parent.controlIfStarted() == nullptr)
    return Error(Code::InvalidUsage, "the parent communicator was never ready");
  if (abortFirst) {
    if (parent.control().faultWord().load(std::memory_order_acquire) == 0)
      parent.abort(control::FaultKind::Aborted);
  } else {
    TUTTI_TRY(parent.usable());
  }
  std::vector<int> ranks;
  for (int r = 0; r < parent.nRanks(); ++r) {
    if (std::find(excluded.begin(), excluded.end(), r) == excluded.end()) ranks.push_back(r);
  }
  if (std::find(ranks.begin(), ranks.end(), parent.rank()) == ranks.end()) {
    return makeError(Code::InvalidArgument,
                     "rank {} is on the list of excluded ranks and must not call ncclCommShrink",
                     parent.rank());
  }
  auto comm = std::make_shared<Communicator>(static_cast<int>(ranks.size()), 0,
                                             options != nullptr ? *options : parent.options());
  std::shared_ptr<Communicator> from = parent.shared_from_this();
  return launch(comm, from, [comm, from, ranks = std::move(ranks)]() -> Status {
    return comm->start(deriving(from->control(), ranks, from->nextShrinkTag()));
  });
}

Result<control::UniqueId> createGrowId(Communicator& comm) {
  TUTTI_TRY(comm.usable());
  return createUniqueId();
}

Result<NewComm> grow(Communicator* parent, int nRanks, const control::UniqueId* id, int rank,
                     const CommOptions* options) {
  CommOptions chosen = options != nullptr ? *options : parent != nullptr ? parent->options() : CommOptions();
  if (parent == nullptr) {
    if (id == nullptr)
      return Error(Code::InvalidArgument,
                   "a rank that joins needs the id that ncclCommGetUniqueId gave to a member");
    return create(nRanks, rank, {id, 1}, chosen);
  }
  TUTTI_TRY(parent->usable());
  if (nRanks <= parent->nRanks()) {
    return makeError(Code::InvalidArgument, "growing a communicator of {} ranks to {} adds none",
                     parent->nRanks(), nRanks);
  }
  auto comm = std::make_shared<Communicator>(nRanks, parent->rank(), chosen);
  std::shared_ptr<Communicator> from = parent->shared_from_this();
  std::optional<control::UniqueId> own;
  if (id != nullptr) own = *id;
  return launch(comm, from, [comm, from, own, nRanks]() -> Status {
    Bytes mine;
    if (own) mine.assign(own->bytes.begin(), own->bytes.end());
    TUTTI_ASSIGN(std::vector<Bytes> given, from->control().allGather(mine, from->initWait()));
    control::UniqueId shared;
    auto it = std::find_if(given.begin(), given.end(),
                           [&](const Bytes& b) { return b.size() == shared.bytes.size(); });
    if (it == given.end())
      return Error(Code::InvalidUsage,
                   "no member passed the id that ncclCommGetUniqueId gave it to ncclCommGrow");
    std::copy(it->begin(), it->end(), shared.bytes.begin());
    return comm->start(joining({shared}, nRanks, from->rank()));
  });
}

}  // namespace tutti::comm
