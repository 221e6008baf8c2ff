// `&& C`: copies of what a party of one session sends, to a party of another. Runs in the thread of
// the session that is copied, so it uses of the other one only what any thread may read, and its
// sockets.
#pragma once

#include <span>

#include "relay/dataplane/relay_packet.h"
#include "relay/flow/tap.h"

namespace relay {

class ForkTap : public Tap {
 public:
  // `totals` by thread number; both outlive the tap.
  ForkTap(FlowGroup& target, LegId leg, std::span<PlaneTotals* const> totals)
      : target_(target), leg_(leg), totals_(totals) {}

  TapAnswer offer(const TappedPacket& packet) final;
  bool wants(PacketKind kind) const final {
    return kind == PacketKind::rtp || kind == PacketKind::rtcp;
  }
  const char* name() const final { return "fork"; }

 private:
  // From the leg's socket of that component; 0 or an errno.
  virtual int send(Component component, const Endpoint& destination, Bytes bytes) = 0;

  FlowGroup& target_;
  const LegId leg_;
  const std::span<PlaneTotals* const> totals_;
};

// Through the kernel. On a wildcard socket the kernel picks the source address by route.
class SocketForkTap final : public ForkTap {
 public:
  SocketForkTap(FlowGroup& target, LegId leg, const LegSpec& spec,
                std::span<PlaneTotals* const> totals)
      : ForkTap(target, leg, totals), sockets_(spec.sockets) {}

 private:
  int send(Component component, const Endpoint& destination, Bytes bytes) override;

  const std::array<int, 2> sockets_;  // by Component
};

}  // namespace relay
