#include "relay/session/offload_plan.h"

#include <algorithm>

#include "relay/flow/tap.h"

namespace relay {
namespace {

using Planned = tl::expected<KernelFlowSpec, std::string_view>;

tl::unexpected<std::string_view> no(std::string_view why) {
  return tl::unexpected<std::string_view>(why);
}

bool is_settled(const LatchState& latch, LatchPolicy policy) {
  if (policy == LatchPolicy::asymmetric) return latch.egress.valid();
  return latch.rank != LatchState::Rank::none && !latch.contested && latch.egress.valid();
}

template <typename Predicate>
bool any_tap(const LegSpec& leg, Predicate predicate) {
  for (const Tap* tap : leg.taps) {
    if (tap == nullptr) break;
    if (predicate(*tap)) return true;
  }
  return false;
}

bool may_be_kept_back(const LegSpec& leg) {
  return any_tap(leg, [](const Tap& tap) { return tap.may_consume(); });
}

bool is_wanted(const LegSpec& leg, PacketKind kind) {
  return any_tap(leg, [kind](const Tap& tap) { return tap.wants(kind); });
}

Endpoint rtcp_port(const LegSpec& leg) {
  return leg.local.with_port_offset(1).value_or(Endpoint{});
}

// What stands against the leg's packets going down, whatever they are. Empty: nothing.
std::string_view obstacle(const OffloadQuestion& question) {
  const LegSpec& in = question.spec.legs[index(question.leg)];
  const LegSpec& out = question.spec.legs[index(other(question.leg))];
  if (!question.spec.complete || !in.open() || !out.open()) return "the session is not complete";
  if (question.spec.forked) return "another session is copied into it";
  if (question.spec.duplicate_small_packets) return "small packets are sent twice (-2)";
  if (in.policy == LatchPolicy::asymmetric) return "asymmetric: any port of the host may send";
  if (in.local.address.is_any() || out.local.address.is_any()) {
    return "bound to the wildcard address (name addresses with -l)";
  }
  if (in.local.address.family() != out.local.address.family()) return "bridges IPv4 and IPv6";
  if (out.source != nullptr) return "a prompt or a voice speaks to the receiver";
  const FlowStats& out_stats = question.group.stats_of(other(question.leg), Component::rtp);
  if (out_stats.shifted.load(std::memory_order_relaxed)) {
    return "its sequence numbers are shifted, after a prompt or re-packetising";
  }
  if (may_be_kept_back(in)) return "what listens to it may keep packets back";
  return {};
}

std::string_view rtp_obstacle(const OffloadQuestion& question) {
  const bool is_transformed = question.spec.legs[index(question.leg)].transform != nullptr;
  return is_transformed ? "it is re-packetised" : "";
}

// Where RTCP to the party of `leg` goes, by its own habit; while that is unknown, the way it came.
KernelFlowSpec::RtcpExit rtcp_exit(const OffloadQuestion& question, LegId leg,
                                   const Endpoint& rtp_egress) {
  const LegSpec& spec = question.spec.legs[index(leg)];
  const RtcpState rtcp = question.group.rtcp_state[index(leg)].load();
  const bool apart = rtcp.habit == RtcpHabit::apart ||
                     (rtcp.habit == RtcpHabit::unknown && question.component == Component::rtcp);
  if (apart) return {rtcp_port(spec), rtcp.egress};
  return {spec.local, rtp_egress};
}

void tee_where_wanted(KernelFlowSpec& flow, const LegSpec& in) {
  const bool carries_rtp = flow.component == Component::rtp;
  const bool carries_rtcp = !carries_rtp || flow.rtcp.has_value();
  flow.tee_to_socket = (carries_rtp && is_wanted(in, PacketKind::rtp)) ||
                       (carries_rtcp && is_wanted(in, PacketKind::rtcp));
}

// RTCP goes down only by the way the party is known to send it: where it begins to come the other
// way, the slow path must hear of it.
std::string_view fill_rtcp(KernelFlowSpec& flow, const OffloadQuestion& question,
                           const LatchState& in_latch, const LatchState& out_latch) {
  const RtcpState rtcp = question.group.rtcp_state[index(question.leg)].load();
  if (rtcp.habit != RtcpHabit::apart) return "no RTCP of its own port was heard last";
  if (rtcp.holder.address != in_latch.holder.address) return "the sender of RTCP is not latched";
  const auto exit = rtcp_exit(question, other(question.leg), out_latch.egress);
  if (!exit.destination.valid()) return "the receiver of RTCP is not latched";
  flow.component = Component::rtcp;
  flow.local = rtcp_port(question.spec.legs[index(question.leg)]);
  flow.source = rtcp.holder;
  flow.egress = exit.egress;
  flow.destination = exit.destination;
  return {};
}

void fill_rtp(KernelFlowSpec& flow, const OffloadQuestion& question, const LatchState& in_latch,
              const LatchState& out_latch) {
  flow.local = question.spec.legs[index(question.leg)].local;
  flow.source = in_latch.holder;
  flow.egress = question.spec.legs[index(other(question.leg))].local;
  flow.destination = out_latch.egress;
  if (question.group.rtcp_state[index(question.leg)].load().habit != RtcpHabit::muxed) return;
  const auto exit = rtcp_exit(question, other(question.leg), out_latch.egress);
  if (exit.destination.valid()) flow.rtcp = exit;
}

}  // namespace

Planned plan_offload(const OffloadQuestion& question) {
  if (const auto why = obstacle(question); !why.empty()) return no(why);
  const bool is_rtp = question.component == Component::rtp;
  if (const auto why = is_rtp ? rtp_obstacle(question) : ""; !why.empty()) return no(why);
  const LegSpec& in = question.spec.legs[index(question.leg)];
  const LegSpec& out = question.spec.legs[index(other(question.leg))];
  const LatchState in_latch = question.group.latch_of(question.leg);
  const LatchState out_latch = question.group.latch_of(other(question.leg));
  if (!is_settled(in_latch, in.policy)) return no("the sender is not latched");
  if (!is_settled(out_latch, out.policy)) return no("the receiver is not latched");
  KernelFlowSpec flow;
  flow.tos = question.tos;
  if (is_rtp) {
    fill_rtp(flow, question, in_latch, out_latch);
  } else if (const auto why = fill_rtcp(flow, question, in_latch, out_latch); !why.empty()) {
    return no(why);
  }
  tee_where_wanted(flow, in);
  const FlowStats& stats = question.group.stats_of(question.leg, question.component);
  if (flow.tee_to_socket && !stats.tells_copies.load(std::memory_order_acquire)) {
    return no("recorded, copied or listened to, and its socket cannot tell copies (Linux 5.19)");
  }
  return flow;
}

bool stands_on_changed(const FlowGroupSpec& before, const FlowGroupSpec& after) {
  if (after.complete != before.complete || after.forked != before.forked ||
      after.duplicate_small_packets != before.duplicate_small_packets) {
    return true;
  }
  return std::any_of(kLegs.begin(), kLegs.end(), [&](LegId id) {
    const LegSpec& was = before.legs[index(id)];
    const LegSpec& is = after.legs[index(id)];
    return was.sockets != is.sockets || was.local != is.local || was.signalled != is.signalled ||
           was.policy != is.policy || was.transform != is.transform || was.source != is.source ||
           may_be_kept_back(was) != may_be_kept_back(is);
  });
}

}  // namespace relay
