// The kernel's own answer to "through which interface does this leave", and news of changes
// (rtnetlink). Control thread.
#pragma once

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

inline constexpr uint32_t kLoopbackIndex = 1;  // in every network namespace

struct Way {
  uint32_t ifindex = 0;  // 0: none
  IpAddress next_hop;    // not valid on this host, where there is none
  friend bool operator==(const Way&, const Way&) = default;
};

class Routes {
 public:
  static Result<Routes> open();
  Routes(Routes&&) noexcept;
  ~Routes();

  // How packets from `source`, one of our addresses, leave towards `destination`: through
  // kLoopbackIndex when that is this host.
  Result<Way> find_way(const IpAddress& destination, const IpAddress& source);

  // Readable when links, addresses, routes or rules have changed.
  int change_descriptor() const { return changes_.get(); }
  // Reads the news; true if there were any, also when some were lost.
  bool drain_changes();

 private:
  Routes(UniqueFd queries, UniqueFd changes);
  UniqueFd queries_, changes_;
  uint32_t sequence_ = 0;
};

}  // namespace relay
