#include "relay/flow/decide.h"

#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {

LatchPacket to_latch_packet(const IngressPacket& packet, PacketKind kind) {
  LatchPacket result{packet.source, kind, 0, 0, 0};
  if (kind == PacketKind::rtp) {  // demux has checked that the fixed header is there
    result.ssrc = read_be32(packet.bytes, 8);
    result.sequence = read_be16(packet.bytes, 2);
    result.payload_type = byte_at(packet.bytes, 1) & 0x7F;
  }
  return result;
}

void publish_latch(FlowGroup& group, LegId leg, Instant now) {
  const RtpLatch& latch = group.rtp_latch[index(leg)];
  group.published_changes[index(leg)] = latch.changes();
  group.stats_of(leg, Component::rtp).latch.store(latch.state(now));
}

LatchResult latch_packet(FlowGroup& group, const IngressPacket& packet, PacketKind kind,
                         Instant now) {
  RtpLatch& rtp = group.rtp_latch[index(packet.leg)];
  const LatchPacket latch_packet = to_latch_packet(packet, kind);
  if (packet.component == Component::rtcp) {
    return group.rtcp_latch[index(packet.leg)].on_packet(rtp, latch_packet, now);
  }
  const LatchResult result = rtp.on_packet(latch_packet, now);
  if (rtp.changes() != group.published_changes[index(packet.leg)]) {
    publish_latch(group, packet.leg, now);
  }
  return result;
}

DropReason refusal(LatchResult result) {
  if (result == LatchResult::candidate) return DropReason::candidate;
  return result == LatchResult::not_rtp ? DropReason::not_rtp : DropReason::source_refused;
}

void note_accepted(FlowGroup& group, const IngressPacket& packet, PacketKind kind, Instant now) {
  FlowStats& stats = group.stats_of(packet.leg, packet.component);
  if (stats.first_accepted_ns.load(std::memory_order_relaxed) == 0) {
    stats.first_accepted_ns.store(to_ns(now), std::memory_order_relaxed);
  }
  stats.last_accepted_ns.store(to_ns(now), std::memory_order_relaxed);
  if (packet.component == Component::rtp && kind == PacketKind::rtp) {
    RtpAnalyser& analyser = group.analyser[index(packet.leg)];
    analyser.on_packet(packet.bytes, now);
    stats.analysis.store(analyser.totals());
  }
  if (kind == PacketKind::rtcp) {
    group.rtcp_habit[index(packet.leg)] =
        packet.component == Component::rtp ? RtcpHabit::muxed : RtcpHabit::apart;
  }
}

// RTCP leaves the way the receiving party itself sends it; while that is unknown, the way it came:
// whoever muxes has negotiated it with the other side (RFC 5761 §5.1.1).
Component egress_component(const FlowGroup& group, const IngressPacket& packet, PacketKind kind) {
  if (kind != PacketKind::rtcp) return packet.component;
  switch (group.rtcp_habit[index(other(packet.leg))]) {
    case RtcpHabit::apart:
      return Component::rtcp;
    case RtcpHabit::muxed:
      return Component::rtp;
    case RtcpHabit::unknown:
      break;
  }
  return packet.component;
}

}  // namespace

std::string_view to_string(DropReason reason) {
  switch (reason) {
#define DROP_REASON(name, help) \
  case DropReason::name:        \
    return #name;
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
  }
  return "unknown";
}

uint64_t FlowStats::dropped() const {
  uint64_t sum = 0;
  for (const Counter& counter : drops) sum += counter.get();
  return sum;
}

void apply_spec(FlowGroup& group, const FlowGroupSpec& spec, Instant now) {
  group.spec = spec;
  for (const LegId leg : kLegs) {
    group.rtp_latch[index(leg)].signal(spec.legs[index(leg)], now);
    publish_latch(group, leg, now);
  }
}

Verdict decide(FlowGroup& group, const IngressPacket& packet, Instant now) {
  if (!group.spec.complete) return Verdict::drop(DropReason::session_incomplete);

  const PacketKind kind = demux(packet.bytes);
  const LatchResult latched = latch_packet(group, packet, kind, now);
  if (latched != LatchResult::accept) return Verdict::drop(refusal(latched));
  note_accepted(group, packet, kind, now);

  const LegId leg = other(packet.leg);
  const Component component = egress_component(group, packet, kind);
  if (group.spec.legs[index(leg)].sockets[index(component)] < 0) {
    return Verdict::drop(DropReason::leg_closed);
  }
  const RtpLatch& rtp = group.rtp_latch[index(leg)];
  const std::optional<Endpoint> destination =
      component == Component::rtp ? rtp.egress(now) : group.rtcp_latch[index(leg)].egress(rtp, now);
  if (!destination) return Verdict::drop(DropReason::no_egress);
  return Verdict::forward(leg, component, *destination);
}

}  // namespace relay
