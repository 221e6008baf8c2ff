#include "tools/rtpp-load/phone.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "relay/base/socket_options.h"

namespace relay::tools {
namespace {

constexpr uint32_t kFirstPort = 10000;
constexpr uint32_t kLastPort = 34999;
constexpr uint64_t kOtherDescriptors = 64;
// Enough for half a second in which nobody reads, at 50 packets a second and 2 KiB each.
constexpr int kReceiveBufferBytes = 1 << 20;

UniqueFd bound_socket(const Endpoint& local) {
  const int family = local.address.is_ipv6() ? AF_INET6 : AF_INET;
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fd;
  set_option(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (!set_option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferBytes)) {
    set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  }
  const SocketAddress address = to_socket_address(local);
  if (::bind(fd.get(), address.get(), address.length) != 0) fd.reset();
  return fd;
}

uint64_t descriptors_a_call(bool rtcp) {
  return rtcp ? 4 : 2;
}

uint64_t with_descriptors(uint64_t descriptors, bool rtcp) {
  return (std::max(descriptors, kOtherDescriptors) - kOtherDescriptors) / descriptors_a_call(rtcp);
}

// The signalled one and that of its RTCP, and behind NAT as many again.
uint32_t ports_a_phone(const PhoneSettings& settings) {
  return settings.nat_percent > 0 ? 4 : 2;
}

}  // namespace

IpAddress address_above(const IpAddress& address, uint32_t by) {
  const auto& bytes = address.bytes();
  const size_t at = address.is_ipv6() ? 12 : 0;
  uint32_t last = 0;
  for (size_t i = 0; i < 4; ++i) last = last << 8 | bytes[at + i];
  last = htonl(last + by);
  if (!address.is_ipv6()) return IpAddress::from_ipv4(in_addr{last});
  in6_addr above{};
  std::copy(bytes.begin(), bytes.end(), above.s6_addr);
  std::memcpy(&above.s6_addr[12], &last, sizeof last);
  return IpAddress::from_ipv6(above);
}

PhoneMaker::PhoneMaker(const PhoneSettings& settings)
    : settings_(settings),
      next_ports_{std::vector<uint32_t>(settings.addresses_a_side, kFirstPort),
                  std::vector<uint32_t>(settings.addresses_a_side, kFirstPort)} {}

Result<void> PhoneMaker::open(Call& call) {
  for (size_t side = 0; side < 2; ++side) {
    const auto opened = open_phone(call.phones[side], call.index, side);
    if (!opened) return opened;
  }
  return {};
}

Result<void> PhoneMaker::move(Call& call, size_t side) {
  Phone moved;
  if (const auto opened = open_phone(moved, call.index, side); !opened) return opened;
  Phone& phone = call.phones[side];
  phone.left.push_back(std::exchange(phone.rtp, std::move(moved.rtp)));
  phone.left.push_back(std::exchange(phone.rtcp, std::move(moved.rtcp)));
  phone.signalled = moved.signalled;
  return {};
}

Result<void> PhoneMaker::open_phone(Phone& phone, uint32_t index, size_t side) {
  // Both phones on one address take turns in its ports.
  const bool shared = settings_.addresses[0] == settings_.addresses[1];
  const uint32_t which = index % settings_.addresses_a_side;
  const IpAddress address = address_above(settings_.addresses[side], which);
  uint32_t& next = next_ports_[shared ? 0 : side][which];
  // Spread over the calls, both phones of one call being behind NAT or not by themselves.
  const bool nat = (index * 2 + side) * 37 % 100 < settings_.nat_percent;
  const uint32_t step = ports_a_phone(settings_);
  for (uint32_t tried = 0; tried <= (kLastPort - kFirstPort) / step; ++tried) {
    if (next + step - 1 > kLastPort) next = kFirstPort;
    const auto signalled_port = static_cast<uint16_t>(next);
    next += step;
    phone.signalled = {address, signalled_port};
    const Endpoint local = *phone.signalled.with_port_offset(nat ? 2 : 0);
    phone.rtp = bound_socket(local);
    if (!phone.rtp && errno != EADDRINUSE) {
      return fail_errno(fmt::format("phone address {} cannot be used", local.to_string()));
    }
    if (settings_.rtcp) phone.rtcp = bound_socket(*local.with_port_offset(1));
    if (phone.rtp && (phone.rtcp || !settings_.rtcp)) return {};
  }
  return fail(fmt::format("no free port between {} and {} on {}", kFirstPort, kLastPort,
                          address.to_string()));
}

uint64_t descriptors_needed(uint64_t calls, bool rtcp) {
  return calls * descriptors_a_call(rtcp) + kOtherDescriptors;
}

uint64_t calls_that_fit(const PhoneSettings& settings) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const uint64_t ports = kLastPort - kFirstPort + 1;
  const uint64_t phones_an_address = ports / ports_a_phone(settings);
  const uint64_t phones = phones_an_address * settings.addresses_a_side;
  return std::min(with_descriptors(limit.rlim_max, settings.rtcp),
                  settings.addresses[0] == settings.addresses[1] ? phones / 2 : phones);
}

Result<void> reserve_descriptors(uint64_t calls, bool rtcp) {
  const uint64_t needed = descriptors_needed(calls, rtcp);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit");
  if (needed > limit.rlim_max) {
    return fail(
        fmt::format("{} calls need {} descriptors and this process may have {}: "
                    "expected at most {} calls",
                    calls, needed, limit.rlim_max, with_descriptors(limit.rlim_max, rtcp)));
  }
  if (needed > limit.rlim_cur) {
    limit.rlim_cur = needed;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("setrlimit");
  }
  return {};
}

}  // namespace relay::tools
