// The two phones of a call: sockets of their own, nothing connected, so that packets from anywhere
// arrive and can be judged.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay::tools {

struct Phone {
  UniqueFd rtp;
  UniqueFd rtcp;       // only when asked for
  Endpoint signalled;  // what the SDP says; behind NAT, not where packets come from
  // Where this phone sends, and the only place it should hear from.
  Endpoint relay_rtp;
  Endpoint relay_rtcp;
};

struct Call {
  uint32_t index = 0;
  std::string call_id;
  std::array<Phone, 2> phones;
};

struct PhoneSettings {
  std::array<IpAddress, 2> addresses;  // of phones A and B
  bool rtcp = false;
  bool nat = false;  // send from two ports above what is signalled
};

// Gives out ports from 10000 to 34999, where relays do not have theirs.
class PhoneMaker {
 public:
  explicit PhoneMaker(const PhoneSettings& settings) : settings_(settings) {}
  Result<void> open(Call& call);

 private:
  Result<void> open_phone(Phone& phone, size_t side);
  const PhoneSettings settings_;
  uint32_t next_port_[2] = {10000, 10002};
};

// Descriptors that `calls` calls take in all, control and program included.
uint64_t descriptors_needed(uint64_t calls, bool rtcp);
// Raises the soft limit as far as needed; an error says how many calls would fit.
Result<void> reserve_descriptors(uint64_t calls, bool rtcp);

}  // namespace relay::tools
