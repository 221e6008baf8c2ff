// A forwarding plane without threads and sockets: packets are handed in by the test. What it is
// told it carries out at once, or in order and when the test says so, as a busy thread would.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/clock.h"
#include "relay/flow/forwarding_plane.h"

namespace relay {

class FakePlane final : public ForwardingPlane {
 public:
  // Says when it is freed.
  class FakeForkTap final : public Tap {
   public:
    FakeForkTap(FakePlane& plane, FlowGroup& into, int from_socket, LegId leg)
        : target(into), socket(from_socket), target_leg(leg), plane_(plane) {
      plane_.forks.insert(this);
    }
    ~FakeForkTap() override { plane_.forks.erase(this); }
    TapAnswer offer(const TappedPacket&) override { return TapAnswer::relay; }
    bool wants(PacketKind) const override { return true; }
    const char* name() const override { return "fork"; }

    FlowGroup& target;
    const int socket;
    const LegId target_leg;

   private:
    FakePlane& plane_;
  };
  std::set<const FakeForkTap*> forks;

  explicit FakePlane(const Clock& clock) : clock_(clock) {}

  std::function<void(const char*)> on_call;
  std::function<void()> before_settled;  // is asked
  std::function<bool()> on_spare_descriptors;
  bool corked = false;
  bool can_tell_copies = true;  // the kernel says SO_RCVMARK

  void install(FlowGroup& group, const FlowGroupSpec& spec) override {
    RELAY_ASSERT(installed_.insert(&group).second);
    post("install", [this, &group, spec] { carry_out(group, spec); });
  }
  PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) override {
    RELAY_ASSERT(installed_.count(&group) == 1);
    return post("update", [this, &group, spec] { carry_out(group, spec); });
  }
  PlaneTicket remove(FlowGroup& group) override {
    RELAY_ASSERT(installed_.erase(&group) == 1);
    return post("remove", [] {});
  }
  void cork() override { corked = true; }
  void uncork() override { corked = false; }
  bool spare_descriptors() override { return on_spare_descriptors && on_spare_descriptors(); }
  bool settled(const PlaneTicket& ticket) const override {
    if (before_settled) before_settled();
    return ticket.sequence <= settled_;
  }
  PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) override {
    return post("copy_stream", [&group, leg, &to] { to = group.analyser[index(leg)].state(); });
  }
  PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) override {
    return post("resume_stream", [&group, leg, &from] { relay::resume_stream(group, leg, from); });
  }
  FlowPath path_of(const FlowGroup&, LegId, Component) const override {
    return {false, "no fast path"};
  }
  std::unique_ptr<Tap> fork_into(FlowGroup& target, const FlowGroupSpec& spec, LegId leg) override {
    return std::make_unique<FakeForkTap>(*this, target, spec.legs[index(leg)].sockets[0], leg);
  }
  PlaneCounters counters() const override { return counters_; }

  // From now on calls are carried out, and their tickets settle, by settle() only.
  void hold_tickets() { settles_at_once_ = false; }
  void settle(size_t calls) {
    for (; calls > 0 && !posts_.empty(); --calls) {
      posts_.front()();
      posts_.pop_front();
      ++settled_;
    }
  }
  void settle_all() { settle(posts_.size()); }
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
  void carry_out(FlowGroup& group, const FlowGroupSpec& spec) {
    apply_spec(group, spec, clock_.now());
    for (const LegId leg : kLegs) {
      if (spec.legs[index(leg)].taps[0] == nullptr) continue;
      for (const Component component : kComponents) {
        group.stats_of(leg, component).tells_copies.store(can_tell_copies);
      }
    }
  }
  PlaneTicket post(const char* call, std::function<void()> what) {
    if (on_call) on_call(call);
    posts_.push_back(std::move(what));
    const uint64_t sequence = settled_ + posts_.size();
    if (settles_at_once_) settle_all();
    return {0, sequence};
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
  std::deque<std::function<void()>> posts_;
  uint64_t settled_ = 0;
};

}  // namespace relay
