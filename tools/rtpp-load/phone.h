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
  UniqueFd rtcp;               // only when asked for
  std::vector<UniqueFd> left;  // where it was before it moved
  Endpoint signalled;          // what the SDP says; behind NAT, not where packets come from
  // Where this phone sends, and the only place it should hear from.
  Endpoint relay_rtp;
  Endpoint relay_rtcp;
};

struct Call {
  uint32_t index = 0;
  std::string call_id;
  bool begun = false;    // has to be deleted, be it set up by half
  bool talking = false;  // its media is under way
  std::array<Phone, 2> phones;
};

struct PhoneSettings {
  std::array<IpAddress, 2> addresses;  // of phones A and B
  uint32_t addresses_a_side = 1;       // these and the ones that follow them
  bool rtcp = false;
  uint32_t nat_percent = 0;  // of the phones send from two ports above what is signalled
};

// Gives out ports from 10000 to 34999, where relays do not have theirs.
class PhoneMaker {
 public:
  explicit PhoneMaker(const PhoneSettings& settings);
  Result<void> open(Call& call);
  // To a new port of its address, as a phone that changes networks in a call.
  Result<void> move(Call& call, size_t side);

 private:
  Result<void> open_phone(Phone& phone, uint32_t index, size_t side);
  const PhoneSettings settings_;
  std::array<std::vector<uint32_t>, 2> next_ports_;  // one an address
};

// The address `by` above; of IPv6 only the last four bytes change.
IpAddress address_above(const IpAddress& address, uint32_t by);

// Descriptors that `calls` calls take in all, control and program included.
uint64_t descriptors_needed(uint64_t calls, bool rtcp);
// Raises the soft limit as far as needed; an error says how many calls would fit.
Result<void> reserve_descriptors(uint64_t calls, bool rtcp);
// How many calls there are descriptors and ports for.
uint64_t calls_that_fit(const PhoneSettings& settings);

}  // namespace relay::tools
