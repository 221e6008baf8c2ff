#include "relay/dataplane/fork_tap.h"

#include <cerrno>

#include "relay/base/assert.h"
#include "relay/dataplane/packet_io.h"

namespace relay {

TapAnswer ForkTap::offer(const TappedPacket& packet) {
  Component component = Component::rtp;
  Endpoint destination = target_.latch_of(leg_).egress;
  const RtcpState rtcp = target_.rtcp_state[index(leg_)].load();
  if (packet.kind == PacketKind::rtcp && rtcp.habit != RtcpHabit::muxed) {
    component = Component::rtcp;
    destination = rtcp.egress;
  }
  RELAY_ASSERT(packet.thread < totals_.size());
  PlaneTotals& totals = *totals_[packet.thread];
  if (!destination.valid() || send(component, destination, packet.bytes) != 0) {
    totals.forks_lost.add();
    return TapAnswer::relay;
  }
  totals.forked.add();
  target_.stats_of(leg_, Component::rtp)
      .last_forked_ns.store(to_ns(packet.arrival), std::memory_order_relaxed);
  return TapAnswer::relay;
}

int SocketForkTap::send(Component component, const Endpoint& destination, Bytes bytes) {
  const int socket = sockets_[index(component)];
  if (socket < 0) return EBADF;
  const int error = relay::send(socket, destination, bytes);
  // What an earlier packet met (an ICMP error) waits on the socket; asking again clears it.
  return error == ECONNREFUSED ? relay::send(socket, destination, bytes) : error;
}

}  // namespace relay
