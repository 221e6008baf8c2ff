#include "relay/session/media_sockets.h"

#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "relay/base/socket_options.h"

namespace relay {
namespace {

// Half a second of a 4 Mbit/s video stream; the kernel halves or caps it as it likes.
constexpr int kReceiveBufferBytes = 256 * 1024;

tl::unexpected<OpenFailure> failure(const char* what, const Endpoint& local) {
  const int number = errno;
  OpenFailure::Kind kind = OpenFailure::Kind::other;
  if (number == EADDRINUSE || number == EACCES) kind = OpenFailure::Kind::port_busy;
  if (number == EMFILE || number == ENFILE) kind = OpenFailure::Kind::no_descriptors;
  return tl::unexpected<OpenFailure>(
      {kind, fmt::format("{} {}: {}", what, local.to_string(), std::strerror(number))});
}

}  // namespace

tl::expected<UniqueFd, OpenFailure> KernelSocketFactory::open_one(const Endpoint& local, int tos) {
  const bool ipv6 = local.address.is_ipv6();
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failure("socket for", local);
  if (ipv6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failure("V6ONLY", local);
  const SocketAddress address = to_socket_address(local);
  if (::bind(fd.get(), address.get(), address.length) != 0) return failure("bind to", local);
  // Neither is worth a call: media flows without them.
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  if (tos >= 0) set_tos(fd.get(), local.address.family(), tos);
  return fd;
}

tl::expected<SocketPair, OpenFailure> KernelSocketFactory::open_pair(const Endpoint& rtp, int tos) {
  const auto above = rtp.with_port_offset(1);
  if (!above)
    return tl::unexpected<OpenFailure>(
        {OpenFailure::Kind::port_busy, "no port above " + rtp.to_string()});
  auto first = open_one(rtp, tos);
  if (!first) return tl::unexpected<OpenFailure>(std::move(first.error()));
  auto second = open_one(*above, tos);
  if (!second) return tl::unexpected<OpenFailure>(std::move(second.error()));
  return SocketPair{std::move(*first), std::move(*second)};
}

bool KernelSocketFactory::set_tos(int socket, Family family, int tos) {
  return set_type_of_service(socket, family, tos);
}

std::optional<IpAddress> KernelSocketFactory::address_towards(const IpAddress& remote) {
  const UniqueFd fd(::socket(remote.is_ipv6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Connecting a datagram socket sends nothing; the port number does not matter.
  const SocketAddress to = to_socket_address({remote, 9});
  if (!fd || ::connect(fd.get(), to.get(), to.length) != 0) return std::nullopt;
  SocketAddress from;
  if (::getsockname(fd.get(), from.get(), &from.length) != 0) return std::nullopt;
  return to_endpoint(from).address;
}

bool KernelSocketFactory::is_local(const IpAddress& address) {
  if (address.is_loopback()) return true;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr != nullptr && to_endpoint(entry->ifa_addr).address == address) return true;
  }
  return false;
}

}  // namespace relay
