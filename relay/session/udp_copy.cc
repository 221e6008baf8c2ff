#include "relay/session/udp_copy.h"

#include <sys/socket.h>

#include <utility>

#include "relay/base/socket_options.h"

namespace relay {

UdpCopy::UdpCopy(PortPair ports, const Endpoint& to, bool with_rtcp)
    : ports_(std::move(ports)), to_(to), with_rtcp_(with_rtcp) {
  addresses_[index(Component::rtp)] = to_socket_address(to);
  if (with_rtcp) addresses_[index(Component::rtcp)] = to_socket_address(*to.with_port_offset(1));
  // Nobody reads what arrives here; the kernel rounds up to its minimum.
  for (const int socket : {ports_.rtp_socket(), ports_.rtcp_socket()}) {
    set_option(socket, SOL_SOCKET, SO_RCVBUF, 0);
  }
}

bool UdpCopy::wants(PacketKind kind) const {
  return kind != PacketKind::rtcp || with_rtcp_;
}

TapAnswer UdpCopy::offer(const TappedPacket& packet) {
  if (packet.replaced) return TapAnswer::relay;
  const bool is_rtcp = packet.kind == PacketKind::rtcp || packet.component == Component::rtcp;
  if (is_rtcp && !with_rtcp_) return TapAnswer::relay;
  const SocketAddress& to = addresses_[is_rtcp ? 1 : 0];
  const int socket = is_rtcp ? ports_.rtcp_socket() : ports_.rtp_socket();
  const ssize_t n = ::sendto(socket, packet.bytes.data(), packet.bytes.size(),
                             MSG_DONTWAIT | MSG_NOSIGNAL, to.get(), to.length);
  (n >= 0 ? sent_ : failed_).add();
  return TapAnswer::relay;
}

}  // namespace relay
