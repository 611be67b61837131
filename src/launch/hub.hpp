// The hub: the one process through which all ranks of a job exchange their first bytes. `tutti run` serves
// one for its ranks; under other launchers rank 0 serves it from a thread.
//
// The hub gathers what all ranks contribute to a call and answers all of them. It knows who has come, who has
// called and who has left, so its failures name ranks. Groups: the processes of a job may open several
// exchanges one after the other, or run several programs one after the other; each such set of connections is
// a group with a state of its own.
//
// A stranger's connection costs one descriptor and at most kMaxHelloBytes until it is dropped: after a wrong
// frame, a wrong code, 10 s, or when too many others that have not proven the key wait.
//
// Thread safety: one thread at a time. An agent: no thread inside, work() never blocks.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/mac.hpp"
#include "launch/socket.hpp"
#include "launch/wire.hpp"

namespace tutti::launch {

class Hub {
 public:
  /// `listener` is a non-blocking listening socket. Peers of other users are dropped where it is a Unix
  /// socket.
  static Result<std::unique_ptr<Hub>> create(UniqueFd listener, const Block128& key, int size);
  ~Hub();

  /// Readable when work() has something to do. Deadlines pass without that: call work() at least every
  /// pollMs().
  int fd() const { return epoll_.get(); }
  int pollMs() const;
  void work();

  /// The process of `rank` has ended, `how` says how ("exit status 3"): those who wait for it in vain are
  /// told so.
  void rankEnded(int rank, const std::string& how);

  /// True while answers wait to be sent.
  bool hasOutput() const;

 private:
  struct Group;
  struct Connection {
    UniqueFd fd;
    enum class State { Hello, Joining, Idle, Calling, Closing } state = State::Hello;
    Block128 nonce{};
    Hello hello;
    Group* group = nullptr;
    int64_t deadlineNs = 0;  ///< 0: none
    std::string in;
    std::deque<std::shared_ptr<const std::string>> out;
    size_t outSent = 0;
    bool wantsWrite = false;
    bool dead = false;  ///< erased, and its descriptor closed, at the end of work()
  };
  struct Group {
    uint32_t generation = 0;
    std::vector<Connection*> members;  ///< nullptr: not come, or left
    std::vector<bool> came;
    int cameCount = 0;
    bool complete = false;
    std::string failure;  ///< not empty: every call fails with it
    int failureCode = 0;
    // The call in progress.
    int calledCount = 0;
    uint32_t firstCaller = 0;
    uint8_t operation = 0;
    uint32_t root = 0;
    std::vector<std::optional<std::string>> contributions;
  };

  Hub(UniqueFd listener, UniqueFd epoll, const Block128& key, int size);

  void acceptAll();
  void readFrom(Connection& connection);
  /// False: the frame is wrong and the connection is to be dropped.
  bool onFrame(Connection& connection, Frame type, std::string_view body);
  bool onHello(Connection& connection, std::string_view body);
  bool onCall(Connection& connection, std::string_view body);
  void join(Connection& connection);
  void welcome(Group& group);
  void answer(Group& group);
  void fail(Group& group, Code code, const std::string& text);
  void failConnection(Connection& connection, Code code, const std::string& text);
  void send(Connection& connection, std::shared_ptr<const std::string> frame);
  void flush(Connection& connection);
  void drop(Connection& connection);
  void checkDeadlines();
  void sweep();
  Group& groupFor(const Hello& hello);
  std::string notCome(const Group& group) const;
  std::string notCalled(const Group& group) const;

  UniqueFd listener_;
  UniqueFd epoll_;
  Block128 key_;
  int size_;
  std::map<int, std::unique_ptr<Connection>> connections_;  // by descriptor
  std::list<Group> groups_;
  std::map<int, std::string> ended_;  // ranks whose process has ended, and how
};

/// "rank 3", "ranks 0, 2-5 and 9 more"
std::string rankList(const std::vector<int>& ranks);

}  // namespace tutti::launch
