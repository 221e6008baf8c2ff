#include "relay/dataplane/relay_packet.h"

#include <cerrno>

#include "relay/dataplane/consumers.h"

namespace relay {
namespace {

// An ICMP error for an earlier packet waits on the socket and fails the next send, whatever that
// one's destination; asking again clears it.
int send_once(FlowGroup& group, const Verdict& verdict, Bytes bytes, PacketSender& sender) {
  const auto attempt = [&] {
    return sender.send(group, verdict.egress_leg, verdict.egress_component, verdict.destination,
                       bytes);
  };
  const int error = attempt();
  return error == ECONNREFUSED ? attempt() : error;
}

Verdict carry_out(FlowGroup& group, const Verdict& verdict, Bytes bytes, PacketSender& sender) {
  if (verdict.kind != Verdict::Kind::forward) return verdict;
  if (send_packet(group, verdict, bytes, sender) == 0) return verdict;
  return Verdict::drop(DropReason::send_failed);
}

void count_received(FlowStats& stats, PlaneTotals& totals, size_t wire_bytes) {
  stats.received.add();
  stats.received_bytes.add(wire_bytes);
  totals.received.add();
  totals.received_bytes.add(wire_bytes);
}

void count_verdict(FlowStats& stats, PlaneTotals& totals, const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::forward:
      stats.forwarded.add();
      totals.forwarded.add();
      return;
    case Verdict::Kind::punt:
      stats.punted.add();
      totals.punted.add();
      return;
    case Verdict::Kind::consume:
      stats.consumed.add();
      totals.consumed.add();
      return;
    case Verdict::Kind::drop:
      stats.drops[static_cast<size_t>(verdict.reason)].add();
      totals.drops[static_cast<size_t>(verdict.reason)].add();
      return;
  }
}

}  // namespace

Endpoint PacketSender::local_of(const FlowGroup& group, LegId leg, Component component) const {
  Endpoint local = group.spec.legs[index(leg)].local;
  if (component == Component::rtcp) ++local.port;
  return local;
}

int send_packet(FlowGroup& group, const Verdict& verdict, Bytes bytes, PacketSender& sender) {
  if (const int error = send_once(group, verdict, bytes, sender); error != 0) return error;
  if (group.spec.duplicate_small_packets && bytes.size() < kSmallPacketBytes) {
    send_once(group, verdict, bytes, sender);  // the packet has left; its copy is a bonus
  }
  return 0;
}

bool is_accepted(const Verdict& verdict) {
  if (verdict.kind != Verdict::Kind::drop) return true;
  return verdict.reason == DropReason::no_egress || verdict.reason == DropReason::leg_closed;
}

void PlaneTotals::add_to(PlaneCounters& counters) const {
  counters.received += received.get();
  counters.received_bytes += received_bytes.get();
  counters.forwarded += forwarded.get();
  counters.punted += punted.get();
  counters.consumed += consumed.get();
  counters.transformed += transformed.get();
  counters.forked += forked.get();
  counters.forks_lost += forks_lost.get();
  counters.emitted += emitted.get();
  counters.played += played.get();
  for (size_t i = 0; i < kDropReasons; ++i) counters.drops[i] += drops[i].get();
}

Verdict finish_packet(FlowGroup& group, const IngressPacket& packet, const Verdict& verdict,
                      Instant arrival, PacketSender& sender, PlaneTotals& totals) {
  FlowStats& stats = group.stats_of(packet.leg, packet.component);
  const Verdict outcome = has_consumers(group, packet.leg) && is_accepted(verdict)
                              ? Consumers(group, packet, verdict, arrival, sender, totals).serve()
                              : carry_out(group, verdict, packet.bytes, sender);
  count_received(stats, totals, packet.bytes.size());
  count_verdict(stats, totals, outcome);
  return outcome;
}

Verdict relay_packet(FlowGroup& group, const IngressPacket& packet, Instant now,
                     PacketSender& sender, PlaneTotals& totals) {
  return finish_packet(group, packet, decide(group, packet, now), now, sender, totals);
}

void drop_truncated(FlowGroup& group, LegId leg, Component component, size_t wire_bytes,
                    PlaneTotals& totals) {
  FlowStats& stats = group.stats_of(leg, component);
  count_received(stats, totals, wire_bytes);
  count_verdict(stats, totals, Verdict::drop(DropReason::truncated));
}

}  // namespace relay
