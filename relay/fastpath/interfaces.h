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

struct InterfaceChoice {
  std::vector<Interface> usable;
  std::vector<std::string> refused;  // "wg0: no Ethernet header (link type 65534)"
};

// Those that have one of the addresses (a wildcard: any of its family), those named, and lo, by
// which parties on this host are reached.
Result<InterfaceChoice> choose_interfaces(const std::vector<IpAddress>& addresses,
                                          const std::vector<std::string>& names);

}  // namespace relay
