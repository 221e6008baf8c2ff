// One packet from receipt to counted verdict: decide, send, count. Workers use it with sockets,
// simulations with a sender of their own.
#pragma once

#include "relay/flow/decide.h"
#include "relay/flow/forwarding_plane.h"

namespace relay {

class PacketSender {
 public:
  virtual ~PacketSender() = default;
  // Sends from the socket of that leg and component. 0 or an errno; never waits.
  virtual int send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
                   Bytes bytes) = 0;
  // Where packets of that leg and component come in, and the number of the calling thread: for
  // taps.
  virtual Endpoint local_of(const FlowGroup& group, LegId leg, Component component) const;
  virtual uint32_t thread_number() const { return 0; }
};

// What one thread has counted; that thread writes, any thread reads.
struct PlaneTotals {
  Counter received, received_bytes, forwarded, punted, consumed, transformed, emitted, played;
  Counter forked, forks_lost;
  std::array<Counter, kDropReasons> drops;

  void add_to(PlaneCounters& counters) const;
};

// Smaller packets than this leave twice where the group says so (option -2).
inline constexpr size_t kSmallPacketBytes = 128;

// Carries out and counts what decide() said of `packet`, taps and all. Returns the verdict as
// counted: a forward that could not be sent is drop(send_failed).
Verdict finish_packet(FlowGroup& group, const IngressPacket& packet, const Verdict& verdict,
                      Instant arrival, PacketSender& sender, PlaneTotals& totals);

// Sends a packet that is to leave by `verdict`, which is a forward; small ones twice where the
// group says so. 0 or an errno.
int send_packet(FlowGroup& group, const Verdict& verdict, Bytes bytes, PacketSender& sender);

// Whether the latch has accepted the packet, even if it cannot leave.
bool is_accepted(const Verdict& verdict);

// decide() and finish_packet() in one.
Verdict relay_packet(FlowGroup& group, const IngressPacket& packet, Instant now,
                     PacketSender& sender, PlaneTotals& totals);

// Counts a datagram of `wire_bytes` that did not fit the receive buffer; its source proves nothing.
void drop_truncated(FlowGroup& group, LegId leg, Component component, size_t wire_bytes,
                    PlaneTotals& totals);

}  // namespace relay
