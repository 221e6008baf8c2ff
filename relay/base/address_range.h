// IP addresses with a prefix in common, `ADDR/BITS`. A value.
#pragma once

#include <optional>
#include <string_view>

#include "relay/base/endpoint.h"

namespace relay {

class AddressRange {
 public:
  // `192.0.2.0/24`, `2001:db8::/32`, or one address. Bits behind the prefix do not matter.
  static std::optional<AddressRange> parse(std::string_view text);
  bool contains(const IpAddress& address) const;

 private:
  IpAddress first_;
  unsigned bits_ = 0;
};

}  // namespace relay
