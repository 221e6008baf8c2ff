// Which interfaces the fast path belongs on. Control thread.
#pragma once

#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace relay {

struct Interface {
  std::string name;
  uint32_t ifindex = 0;
};

// Those that have one of the addresses (a wildcard: any of its family), those named, and lo, by
// which parties on this host are reached. The error names what does not exist or cannot be used.
Result<std::vector<Interface>> choose_interfaces(const std::vector<IpAddress>& addresses,
                                                 const std::vector<std::string>& names);

}  // namespace relay
