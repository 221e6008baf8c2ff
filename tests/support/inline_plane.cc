#include "tests/support/inline_plane.h"

#include <fmt/core.h>

#include "relay/base/assert.h"
#include "relay/dataplane/consumers.h"

namespace relay::testing {
namespace {

Endpoint local_endpoint(const LegSpec& leg, Component component) {
  return {leg.local.address,
          static_cast<uint16_t>(leg.local.port + (component == Component::rtcp ? 1 : 0))};
}

uint64_t accounted(const FlowStats& stats) {
  return stats.forwarded.get() + stats.punted.get() + stats.consumed.get() + stats.dropped();
}

uint64_t received_by(const FlowGroup& group) {
  uint64_t sum = 0;
  for (const auto& leg : group.stats) {
    for (const FlowStats& stats : leg) sum += stats.received.get();
  }
  return sum;
}

std::string imbalance_of(const FlowGroup& group) {
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) {
      const FlowStats& stats = group.stats_of(leg, component);
      if (stats.received.get() == accounted(stats)) continue;
      return fmt::format("flow at {} port {}: received {}, accounted for {}",
                         leg == LegId::callee ? "the callee's" : "the caller's",
                         local_endpoint(group.spec.legs[index(leg)], component).to_string(),
                         stats.received.get(), accounted(stats));
    }
  }
  return {};
}

}  // namespace

class InlinePlane::OutletForkTap final : public ForkTap {
 public:
  OutletForkTap(InlinePlane& plane, FlowGroup& target, LegId leg, const LegSpec& spec)
      : ForkTap(target, leg, plane.totals_of_threads_), plane_(plane), spec_(spec) {}

 private:
  int send(Component component, const Endpoint& destination, Bytes bytes) override {
    plane_.outlet_(local_endpoint(spec_, component), destination, bytes);
    return 0;
  }
  InlinePlane& plane_;
  const LegSpec spec_;
};

std::unique_ptr<Tap> InlinePlane::fork_into(FlowGroup& target, const FlowGroupSpec& spec,
                                            LegId leg) {
  return std::make_unique<OutletForkTap>(*this, target, leg, spec.legs[index(leg)]);
}

void InlinePlane::install(FlowGroup& group, const FlowGroupSpec& spec) {
  RELAY_ASSERT(groups_.emplace(&group, groups_.size()).second);
  apply_spec(group, spec, clock_.now());
  bind(group);
}

PlaneTicket InlinePlane::update(FlowGroup& group, const FlowGroupSpec& spec) {
  RELAY_ASSERT(groups_.count(&group) == 1);
  finish_transforms(group, spec, clock_.now(), *this, totals_);
  unbind(group);
  apply_spec(group, spec, clock_.now());
  bind(group);
  return next_ticket();
}

PlaneTicket InlinePlane::copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) {
  to = group.analyser[index(leg)].state();
  return next_ticket();
}

PlaneTicket InlinePlane::resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) {
  relay::resume_stream(group, leg, from);
  return next_ticket();
}

PlaneTicket InlinePlane::remove(FlowGroup& group) {
  RELAY_ASSERT(groups_.erase(&group) == 1);
  unbind(group);
  removed_received_ += received_by(group);
  if (first_imbalance_.empty()) first_imbalance_ = imbalance_of(group);
  return next_ticket();
}

bool InlinePlane::settled(const PlaneTicket& ticket) const {
  RELAY_ASSERT(ticket.sequence <= issued_.size());
  return ticket.sequence == 0 || issued_[ticket.sequence - 1] + settle_after_ <= clock_.now();
}

PlaneCounters InlinePlane::counters() const {
  PlaneCounters counters;
  totals_.add_to(counters);
  return counters;
}

std::optional<Verdict> InlinePlane::receive(const Endpoint& source, const Endpoint& destination,
                                            Bytes bytes) {
  auto socket = sockets_.find(destination);
  if (socket == sockets_.end()) {
    socket = sockets_.find({IpAddress::any(destination.address.family()), destination.port});
  }
  if (socket == sockets_.end()) return std::nullopt;
  const IngressPacket packet{socket->second.leg, socket->second.component, source, bytes};
  return relay_packet(*socket->second.group, packet, clock_.now(), *this, totals_);
}

std::string InlinePlane::imbalance() const {
  if (!first_imbalance_.empty()) return first_imbalance_;
  uint64_t received = removed_received_;
  for (const auto& [group, number] : groups_) {
    if (std::string text = imbalance_of(*group); !text.empty()) return text;
    received += received_by(*group);
  }
  const PlaneCounters sum = counters();
  if (sum.received != received) {
    return fmt::format("the plane received {}, its flows {}", sum.received, received);
  }
  const uint64_t accounted = sum.forwarded + sum.punted + sum.consumed + sum.dropped();
  if (sum.received != accounted) {
    return fmt::format("the plane received {}, accounted for {}", sum.received, accounted);
  }
  return {};
}

int InlinePlane::send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
                      Bytes bytes) {
  outlet_(local_endpoint(group.spec.legs[index(leg)], component), destination, bytes);
  return 0;
}

void InlinePlane::bind(FlowGroup& group) {
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) {
      const LegSpec& spec = group.spec.legs[index(leg)];
      if (spec.sockets[index(component)] < 0) continue;
      const Endpoint local = local_endpoint(spec, component);
      RELAY_ASSERT(sockets_.emplace(local, Socket{&group, leg, component}).second);
    }
  }
}

void InlinePlane::unbind(const FlowGroup& group) {
  for (const LegSpec& leg : group.spec.legs) {
    for (const Component component : kComponents) {
      if (leg.sockets[index(component)] >= 0) sockets_.erase(local_endpoint(leg, component));
    }
  }
}

PlaneTicket InlinePlane::next_ticket() {
  issued_.push_back(clock_.now());
  return {0, issued_.size()};
}

}  // namespace relay::testing
