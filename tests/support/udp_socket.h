// A UDP socket for tests, and a pair of them on neighbouring ports as RTP and RTCP use.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

struct Datagram {
  Endpoint source;
  Packet bytes;
};

class UdpSocket {
 public:
  // Not open() when the address is not one of this machine's, or the port is taken. Port 0: any.
  explicit UdpSocket(const Endpoint& local) {
    const int family = local.address.is_ipv6() ? AF_INET6 : AF_INET;
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SocketAddress address = to_socket_address(local);
    if (fd && ::bind(fd.get(), address.get(), address.length) == 0) fd_ = std::move(fd);
  }

  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  Endpoint local() const {
    SocketAddress address;
    ::getsockname(fd_.get(), address.get(), &address.length);
    return to_endpoint(address);
  }

  bool send(const Endpoint& destination, Bytes bytes) const {
    const SocketAddress address = to_socket_address(destination);
    return ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, address.get(), address.length) ==
           static_cast<ssize_t>(bytes.size());
  }

  bool readable(std::chrono::milliseconds wait) const {
    pollfd watched{fd_.get(), POLLIN, 0};
    return ::poll(&watched, 1, static_cast<int>(wait.count())) == 1;
  }

  // The wait bounds a failing test; a passing one does not get near it.
  std::optional<Datagram> receive(std::chrono::milliseconds wait = std::chrono::seconds(10)) const {
    if (!readable(wait)) return std::nullopt;
    Datagram datagram;
    datagram.bytes.resize(65536);
    SocketAddress source;
    const ssize_t n = ::recvfrom(fd_.get(), datagram.bytes.data(), datagram.bytes.size(), 0,
                                 source.get(), &source.length);
    if (n < 0) return std::nullopt;
    datagram.bytes.resize(static_cast<size_t>(n));
    datagram.source = to_endpoint(source);
    return datagram;
  }

 private:
  UniqueFd fd_;
};

// RTP on a port, RTCP on the next; by Component.
using UdpPair = std::array<UdpSocket, 2>;

inline std::optional<UdpPair> open_pair(const IpAddress& address) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    UdpSocket rtp(Endpoint{address, 0});
    if (!rtp.open()) return std::nullopt;
    const auto next = rtp.local().with_port_offset(1);
    if (!next) continue;
    UdpSocket rtcp(*next);
    if (rtcp.open()) return UdpPair{std::move(rtp), std::move(rtcp)};
  }
  return std::nullopt;
}

}  // namespace relay::testing
