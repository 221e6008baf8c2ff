#include "relay/acct/call_record.h"

namespace relay {
namespace {

// rtpproxy shows where it would send next. A party that has fallen silent keeps the address here
// that it had.
Endpoint rtp_remote(const LatchState& latch, const LegSpec& spec) {
  if (latch.holder.valid()) return latch.holder;
  return spec.signalled.value_or(Endpoint{});
}

Endpoint rtcp_remote(const FlowGroup& flows, LegId leg, const Endpoint& rtp) {
  const auto& holder = flows.rtcp_latch[index(leg)].holder();
  if (holder) return *holder;
  return rtp.valid() ? rtp.with_port_offset(1).value_or(Endpoint{}) : Endpoint{};
}

uint64_t relayed(const FlowGroup& flows, LegId leg, Component component,
                 const FlowFigures& figures) {
  return figures.forwarded + flows.stats_of(leg, component).emitted.get();
}

uint64_t relayed_in_kernel(const KernelShare& share) {
  return share.before ? share.before->forwarded : 0;
}

LegRecord leg_record(const Session& session, LegId id) {
  const FlowGroup& flows = *session.flows;
  const SessionLeg& leg = session.leg(id);
  const LegSpec& spec = session.leg_spec(id);
  LegRecord record;
  record.open = spec.open();
  record.local = spec.local;
  record.signalled = spec.signalled;
  record.latch = flows.latch_of(id);
  record.rtp_remote = rtp_remote(record.latch, spec);
  record.rtcp_remote = rtcp_remote(flows, id, record.rtp_remote);
  record.on_hold = leg.on_hold;
  record.holds = leg.holds;
  record.codecs = leg.codecs;
  record.rtp = figures_of(flows, id, Component::rtp);
  record.rtcp = figures_of(flows, id, Component::rtcp);
  record.rtp_relayed = relayed(flows, id, Component::rtp, record.rtp);
  record.rtcp_relayed = relayed(flows, id, Component::rtcp, record.rtcp);
  record.rtp_in_kernel = relayed_in_kernel(flows.kernel_of(id, Component::rtp));
  record.rtcp_in_kernel = relayed_in_kernel(flows.kernel_of(id, Component::rtcp));
  record.played = flows.stats_of(id, Component::rtp).played.get();
  return record;
}

}  // namespace

CallRecord to_call_record(const Session& session, Duration wall_offset) {
  CallRecord record;
  record.serial = session.serial;
  record.call_id = session.call_id;
  record.from_tag = session.from_tag;
  for (const Answer& answer : session.answers) record.to_tags.push_back(answer.tag);
  // A D that leaves room for another branch forgets who answered, but for the one it named.
  if (record.to_tags.empty() && !session.rejected_tag.empty()) {
    record.to_tags.push_back(session.rejected_tag);
  }
  record.complete = session.counted_complete;
  record.ending = session.ending;
  record.created = session.created;
  record.ended = session.ended;
  record.wall_offset = wall_offset;
  for (const LegId leg : kLegs) record.legs[index(leg)] = leg_record(session, leg);
  return record;
}

Duration wall_offset_now() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  const Instant monotonic = steady_now();
  return std::chrono::seconds(wall.tv_sec) + Duration(wall.tv_nsec) - monotonic.time_since_epoch();
}

int64_t wall_us(const CallRecord& record, Instant instant) {
  if (instant == Instant{}) return 0;
  const Duration since_1970 = instant.time_since_epoch() + record.wall_offset;
  return std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count();
}

}  // namespace relay
