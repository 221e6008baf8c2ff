// The kernel's own answer to "through which interface does this leave", and news of changes
// (rtnetlink). Control thread.
#pragma once

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

inline constexpr uint32_t kLoopbackIndex = 1;  // in every network namespace

class Routes {
 public:
  static Result<Routes> open();
  Routes(Routes&&) noexcept;
  ~Routes();

  // The interface index packets from `source`, one of our addresses, to `destination` leave
  // through; kLoopbackIndex when the destination is this host.
  Result<uint32_t> interface_towards(const IpAddress& destination, const IpAddress& source);

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
