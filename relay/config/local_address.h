// -l, -6 and -A together: which media addresses there are and what replies show.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/config/check.h"

namespace relay {

inline constexpr size_t kLocalAddressesMax = 16;

struct LocalAddressConfig {
  std::string label;       // empty: none
  IpAddress bind;          // may be the wildcard of its family
  std::string advertised;  // what replies show instead of `bind`; empty: bind itself
};

struct LocalAddresses {
  std::vector<LocalAddressConfig> list;  // the first is the default; bridging: internal, external
  bool bridging = false;
};

// `settings`: those of -l and -6, in the order given; none means every IPv4 address.
Result<LocalAddresses> parse_local_addresses(const std::vector<Setting>& settings,
                                             const std::optional<Setting>& advertised,
                                             bool numeric_only);

}  // namespace relay
