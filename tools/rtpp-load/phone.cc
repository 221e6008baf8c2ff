#include "tools/rtpp-load/phone.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>

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
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes,
                   sizeof kReceiveBufferBytes) != 0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  }
  const SocketAddress address = to_socket_address(local);
  if (::bind(fd.get(), address.get(), address.length) != 0) fd.reset();
  return fd;
}

uint64_t descriptors_a_call(bool rtcp) {
  return rtcp ? 4 : 2;
}

}  // namespace

Result<void> PhoneMaker::open(Call& call) {
  for (size_t side = 0; side < 2; ++side) {
    if (const auto opened = open_phone(call.phones[side], side); !opened) return opened;
  }
  return {};
}

Result<void> PhoneMaker::open_phone(Phone& phone, size_t side) {
  // Both phones on one address take turns in its ports.
  const bool shared = settings_.addresses[0] == settings_.addresses[1];
  uint32_t& next = next_port_[shared ? 0 : side];
  const uint32_t step = settings_.nat ? 4 : 2;
  for (uint32_t tried = 0; tried <= (kLastPort - kFirstPort) / step; ++tried) {
    if (next + step - 1 > kLastPort) next = kFirstPort;
    const auto signalled_port = static_cast<uint16_t>(next);
    next += step;
    phone.signalled = {settings_.addresses[side], signalled_port};
    const Endpoint local = *phone.signalled.with_port_offset(settings_.nat ? 2 : 0);
    phone.rtp = bound_socket(local);
    if (!phone.rtp && errno != EADDRINUSE) {
      return fail_errno(fmt::format("phone address {} cannot be used", local.to_string()));
    }
    if (settings_.rtcp) phone.rtcp = bound_socket(*local.with_port_offset(1));
    if (phone.rtp && (phone.rtcp || !settings_.rtcp)) return {};
  }
  return fail(fmt::format("no free port between {} and {} on {}", kFirstPort, kLastPort,
                          settings_.addresses[side].to_string()));
}

uint64_t descriptors_needed(uint64_t calls, bool rtcp) {
  return calls * descriptors_a_call(rtcp) + kOtherDescriptors;
}

Result<void> reserve_descriptors(uint64_t calls, bool rtcp) {
  const uint64_t needed = descriptors_needed(calls, rtcp);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit");
  if (needed > limit.rlim_max) {
    const uint64_t room = std::max<uint64_t>(limit.rlim_max, kOtherDescriptors) - kOtherDescriptors;
    return fail(
        fmt::format("{} calls need {} descriptors and this process may have {}: "
                    "expected at most {} calls",
                    calls, needed, limit.rlim_max, room / descriptors_a_call(rtcp)));
  }
  if (needed > limit.rlim_cur) {
    limit.rlim_cur = needed;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("setrlimit");
  }
  return {};
}

}  // namespace relay::tools
