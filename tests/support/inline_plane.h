// A forwarding plane on the test's own thread: real decide() and relay_packet(), imagined sockets.
// Packets come in by receive() and go out through the outlet the test gives.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "relay/base/clock.h"
#include "relay/dataplane/fork_tap.h"
#include "relay/dataplane/relay_packet.h"
#include "relay/flow/forwarding_plane.h"

namespace relay::testing {

class InlinePlane final : public ForwardingPlane, private PacketSender {
 public:
  using Outlet = std::function<void(const Endpoint& from, const Endpoint& to, Bytes bytes)>;

  // Tickets settle `settle_after` the call that gave them.
  InlinePlane(const Clock& clock, Outlet outlet, Duration settle_after = Duration{0})
      : clock_(clock), outlet_(std::move(outlet)), settle_after_(settle_after) {}

  void install(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) override;
  PlaneTicket remove(FlowGroup& group) override;
  bool settled(const PlaneTicket& ticket) const override;
  PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) override;
  PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) override;
  FlowPath path_of(const FlowGroup&, LegId, Component) const override {
    return {false, "no fast path"};
  }
  std::unique_ptr<Tap> fork_into(FlowGroup& target, const FlowGroupSpec& spec, LegId leg) override;
  PlaneCounters counters() const override;

  // One datagram from the network; nothing when no socket is open there.
  std::optional<Verdict> receive(const Endpoint& source, const Endpoint& destination, Bytes bytes);

  size_t installed() const { return groups_.size(); }
  // Which flow, or the plane as a whole, received other than forwarded + punted + consumed +
  // Σ drops, in words; empty when all balance.
  std::string imbalance() const;

 private:
  struct Socket {
    FlowGroup* group = nullptr;
    LegId leg = LegId::callee;
    Component component = Component::rtp;
  };

  class OutletForkTap;

  int send(FlowGroup& group, LegId leg, Component component, const Endpoint& destination,
           Bytes bytes) override;
  void bind(FlowGroup& group);
  void unbind(const FlowGroup& group);
  PlaneTicket next_ticket();

  const Clock& clock_;
  const Outlet outlet_;
  const Duration settle_after_;
  std::map<FlowGroup*, uint64_t> groups_;  // and when they came, for messages
  std::unordered_map<Endpoint, Socket> sockets_;
  PlaneTotals totals_;
  const std::array<PlaneTotals*, 1> totals_of_threads_{&totals_};
  uint64_t removed_received_ = 0;  // by groups that are gone
  std::string first_imbalance_;    // of a group that is gone
  std::deque<Instant> issued_;     // by sequence number, from 1
};

}  // namespace relay::testing
