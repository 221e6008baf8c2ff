#include "relay/flow/decide.h"

#include <algorithm>

#include "relay/flow/transform.h"
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

// A transform that goes has made more or fewer packets than came: without a shift the receiver
// would take what follows for old or lost.
void keep_sequence(FlowGroup& group, LegId leg, const Transform* next) {
  const Transform* transform = group.spec.legs[index(leg)].transform;
  if (transform == nullptr || transform == next) return;
  const SequenceShift left = transform->shift();
  SequenceShift& shift = group.shift[index(other(leg))];
  if (left.offset == 0) return;
  shift.turn_to(left.ssrc);
  shift.offset = static_cast<uint16_t>(shift.offset + left.offset);
  publish_shift(group, other(leg));
}

// What the kernel matches may be the state of before: whoever has offloaded a flow must look now,
// and must then see things as they are.
void call_for_attention(FlowGroup& group) {
  if (group.attention != nullptr) group.attention->raise(group.attention_flag);
}

void publish_rtcp(FlowGroup& group, LegId leg, Instant now) {
  const RtcpLatch& latch = group.rtcp_latch[index(leg)];
  RtcpState state;
  state.habit = group.rtcp_habit[index(leg)];
  state.holder = latch.holder().value_or(Endpoint{});
  state.egress = latch.egress(group.rtp_latch[index(leg)], now).value_or(Endpoint{});
  if (group.rtcp_state[index(leg)].load() == state) return;
  group.rtcp_state[index(leg)].store(state);
  call_for_attention(group);
}

void publish_latch(FlowGroup& group, LegId leg, Instant now) {
  const RtpLatch& latch = group.rtp_latch[index(leg)];
  group.published_changes[index(leg)] = latch.changes();
  group.latch[index(leg)].store(latch.state(now));
  publish_rtcp(group, leg, now);
  call_for_attention(group);
}

// While the kernel relays a holder's packets, this is how its latch knows that it lives.
void follow_kernel(FlowGroup& group) {
  for (const LegId leg : kLegs) {
    const KernelShare& share = group.kernel_of(leg, Component::rtp);
    const KernelFlowStats* live = share.live.load(std::memory_order_acquire);
    uint64_t last_rtp = live != nullptr ? read_kernel_counter(live->last_rtp) : 0;
    int64_t seen_ns =
        live != nullptr ? static_cast<int64_t>(read_kernel_counter(live->last_seen_ns)) : 0;
    if (seen_ns == 0 || last_rtp == 0) {  // nothing so far, but perhaps before it last came back
      seen_ns = share.last_seen_ns.load(std::memory_order_relaxed);
      last_rtp = share.last_rtp.load(std::memory_order_relaxed);
    }
    if (seen_ns == 0) continue;
    group.rtp_latch[index(leg)].follow(from_ns(seen_ns), ssrc_of_last_rtp(last_rtp),
                                       sequence_of_last_rtp(last_rtp));
  }
}

// A packet that is the kernel's to relay has come here and is relayed. A few are punted, or were
// under way when the flow went down.
void note_passed_by(FlowGroup& group, const IngressPacket& packet, PacketKind kind) {
  KernelShare& share = group.kernel_of(packet.leg, packet.component);
  const KernelFlowStats* live = share.live.load(std::memory_order_acquire);
  if (live == nullptr || kind == PacketKind::other) return;
  const uint64_t forwarded = read_kernel_counter(live->forwarded);
  if (share.passed_flow != live || share.passed_forwarded != forwarded) {
    share.passed_flow = live;
    share.passed_forwarded = forwarded;
    share.passed_packets = 0;
  }
  if (++share.passed_packets < kPassedByMax) return;
  share.passed_packets = 0;
  share.passed_by.store(true, std::memory_order_release);
  call_for_attention(group);
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
    group.analysis[index(packet.leg)].store(analyser.totals());
  }
  if (kind == PacketKind::rtcp) {
    group.rtcp_habit[index(packet.leg)] =
        packet.component == Component::rtp ? RtcpHabit::muxed : RtcpHabit::apart;
    publish_rtcp(group, packet.leg, now);
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

uint64_t FlowFigures::dropped() const {
  uint64_t sum = 0;
  for (const uint64_t count : drops) sum += count;
  return sum;
}

namespace {

void add_kernel(FlowFigures& figures, const KernelFlowStats& stats) {
  const auto get = [](const __u64& counter) { return uint64_t{read_kernel_counter(counter)}; };
  // What the kernel punted is received once more by the slow path, and counted there. Each counter
  // is read once: while the kernel counts on, the sums still balance.
  const uint64_t forwarded = get(stats.forwarded);
  figures.received += forwarded;
  figures.received_bytes += get(stats.forwarded_bytes);
  figures.forwarded += forwarded;
  for (size_t i = 0; i < kDropReasons; ++i) {
    const uint64_t drops = get(stats.drops[i]);
    figures.received += drops;
    figures.drops[i] += drops;
  }
  const Instant first = from_ns(static_cast<int64_t>(get(stats.first_seen_ns)));
  if (first != Instant{} && figures.first_accepted == Instant{}) figures.first_accepted = first;
  const Instant last = from_ns(static_cast<int64_t>(get(stats.last_seen_ns)));
  figures.last_accepted = std::max(figures.last_accepted, last);
}

}  // namespace

RtpStreamState with_missed(RtpStreamState state, uint64_t missed) {
  const uint64_t gaps = state.run_highest - state.run_lowest + 1 - state.run_received;
  const bool in_open_run = state.run_open != 0 && gaps >= missed;
  (in_open_run ? state.run_received : state.closed_received) += missed;
  return state;
}

FlowFigures figures_of(const FlowGroup& group, LegId leg, Component component) {
  const FlowStats& stats = group.stats_of(leg, component);
  FlowFigures figures;
  figures.received = stats.received.get();
  figures.received_bytes = stats.received_bytes.get();
  figures.forwarded = stats.forwarded.get();
  figures.punted = stats.punted.get();
  figures.consumed = stats.consumed.get();
  figures.emitted = stats.emitted.get();
  for (size_t i = 0; i < kDropReasons; ++i) figures.drops[i] = stats.drops[i].get();
  figures.first_accepted = from_ns(stats.first_accepted_ns.load(std::memory_order_relaxed));
  figures.last_accepted = from_ns(stats.last_accepted_ns.load(std::memory_order_relaxed));
  if (component == Component::rtp) figures.analysis = group.analysis_of(leg);
  const KernelShare& share = group.kernel_of(leg, component);
  if (share.before) add_kernel(figures, *share.before);
  const KernelFlowStats* live = share.live.load(std::memory_order_relaxed);
  if (live == nullptr) return figures;
  add_kernel(figures, *live);
  if (component == Component::rtcp) return figures;
  const KernelFlowReport report = group.kernel_plane->report(share.id);
  figures.analysis = totals_of(with_missed(report.stream, share.missed));
  return figures;
}

void publish_shift(FlowGroup& group, LegId leg) {
  group.stats_of(leg, Component::rtp)
      .shifted.store(group.shift[index(leg)].changes_anything(), std::memory_order_relaxed);
}

void apply_spec(FlowGroup& group, const FlowGroupSpec& spec, Instant now) {
  for (const LegId leg : kLegs) keep_sequence(group, leg, spec.legs[index(leg)].transform);
  group.spec = spec;
  for (const LegId leg : kLegs) {
    group.rtp_latch[index(leg)].signal(spec.legs[index(leg)], now);
    publish_latch(group, leg, now);
  }
}

Instant last_accepted(const FlowGroup& group, LegId leg, Component component) {
  int64_t last_ns = group.stats_of(leg, component).last_accepted_ns.load(std::memory_order_relaxed);
  const KernelShare& share = group.kernel_of(leg, component);
  last_ns = std::max(last_ns, share.last_seen_ns.load(std::memory_order_relaxed));
  const KernelFlowStats* live = share.live.load(std::memory_order_relaxed);
  if (live != nullptr) {
    last_ns = std::max(last_ns, static_cast<int64_t>(read_kernel_counter(live->last_seen_ns)));
  }
  return from_ns(last_ns);
}

void resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  group.analyser[index(leg)].resume(from);
  group.analysis[index(leg)].store(totals_of(from));
}

Verdict decide(FlowGroup& group, const IngressPacket& packet, Instant now) {
  if (!group.spec.complete) return Verdict::drop(DropReason::session_incomplete);

  follow_kernel(group);
  const PacketKind kind = demux(packet.bytes);
  const LatchResult latched = latch_packet(group, packet, kind, now);
  if (latched != LatchResult::accept) return Verdict::drop(refusal(latched));
  note_accepted(group, packet, kind, now);
  if (group.spec.forked) return Verdict::drop(DropReason::forked);

  const LegId leg = other(packet.leg);
  const Component component = egress_component(group, packet, kind);
  if (group.spec.legs[index(leg)].sockets[index(component)] < 0) {
    return Verdict::drop(DropReason::leg_closed);
  }
  const RtpLatch& rtp = group.rtp_latch[index(leg)];
  const std::optional<Endpoint> destination =
      component == Component::rtp ? rtp.egress(now) : group.rtcp_latch[index(leg)].egress(rtp, now);
  if (!destination) return Verdict::drop(DropReason::no_egress);
  note_passed_by(group, packet, kind);
  return Verdict::forward(leg, component, *destination);
}

}  // namespace relay
