// A forwarding plane without threads and sockets: specs are applied at once, packets are handed in
// by the test, tickets settle at once or when the test says so.
#pragma once

#include <cstdint>
#include <set>

#include "relay/base/assert.h"
#include "relay/base/clock.h"
#include "relay/flow/forwarding_plane.h"

namespace relay {

class FakePlane final : public ForwardingPlane {
 public:
  explicit FakePlane(const Clock& clock) : clock_(clock) {}

  void install(FlowGroup& group, const FlowGroupSpec& spec) override {
    RELAY_ASSERT(installed_.insert(&group).second);
    apply_spec(group, spec, clock_.now());
  }
  PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) override {
    RELAY_ASSERT(installed_.count(&group) == 1);
    apply_spec(group, spec, clock_.now());
    return next_ticket();
  }
  PlaneTicket remove(FlowGroup& group) override {
    RELAY_ASSERT(installed_.erase(&group) == 1);
    return next_ticket();
  }
  bool settled(const PlaneTicket& ticket) const override { return ticket.sequence <= settled_; }
  PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) override {
    to = group.analyser[index(leg)].state();
    return next_ticket();
  }
  PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) override {
    relay::resume_stream(group, leg, from);
    return next_ticket();
  }
  FlowPath path_of(const FlowGroup&, LegId) const override { return {false, "no fast path"}; }
  PlaneCounters counters() const override { return counters_; }

  // From now on tickets stay open until settle_all().
  void hold_tickets() { settles_at_once_ = false; }
  void settle_all() { settled_ = issued_; }
  void settle_at_once() {
    settles_at_once_ = true;
    settle_all();
  }
  const std::set<FlowGroup*>& installed() const { return installed_; }

  // One packet through decide(), counted as a plane counts. Every forward is taken to succeed.
  Verdict deliver(FlowGroup& group, const IngressPacket& packet) {
    RELAY_ASSERT(installed_.count(&group) == 1);
    FlowStats& stats = group.stats_of(packet.leg, packet.component);
    stats.received.add();
    stats.received_bytes.add(packet.bytes.size());
    ++counters_.received;
    counters_.received_bytes += packet.bytes.size();
    const Verdict verdict = decide(group, packet, clock_.now());
    count(stats, verdict);
    return verdict;
  }

 private:
  PlaneTicket next_ticket() {
    ++issued_;
    if (settles_at_once_) settled_ = issued_;
    return {0, issued_};
  }
  void count(FlowStats& stats, const Verdict& verdict) {
    switch (verdict.kind) {
      case Verdict::Kind::forward:
        stats.forwarded.add();
        ++counters_.forwarded;
        break;
      case Verdict::Kind::punt:
        stats.punted.add();
        ++counters_.punted;
        break;
      case Verdict::Kind::consume:
        stats.consumed.add();
        ++counters_.consumed;
        break;
      case Verdict::Kind::drop:
        stats.drops[static_cast<size_t>(verdict.reason)].add();
        ++counters_.drops[static_cast<size_t>(verdict.reason)];
        break;
    }
  }

  const Clock& clock_;
  std::set<FlowGroup*> installed_;
  PlaneCounters counters_;
  bool settles_at_once_ = true;
  uint64_t issued_ = 0, settled_ = 0;
};

}  // namespace relay
