// Two hosts on one machine: two network namespaces with a cable (a veth pair) between them. Nothing of them
// has a name outside: they end with the processes in them, also after kill -9 of the test.
#pragma once

#include <sys/types.h>

#include <string>

namespace ranks {

class TwoHosts {
 public:
  TwoHosts();
  ~TwoHosts();
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  /// "" or why there are none: no right to make them, no `ip` command.
  const std::string& whyNot() const { return whyNot_; }

  /// Moves the calling process, which has one thread, to host 0 or 1.
  void enter(int host) const;
  /// In a process on one of the hosts: pulls the cable there.
  static void cut();

  static constexpr const char* kInterface = "tutti0";
  static constexpr const char* kAddress[2] = {"10.231.77.1", "10.231.77.2"};

 private:
  std::string make();

  pid_t holders_[2] = {-1, -1};
  std::string whyNot_;
};

}  // namespace ranks
