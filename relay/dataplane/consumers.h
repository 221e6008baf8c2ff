// The way of an accepted packet past everybody else who has to do with it: the sending leg's
// transform and taps, and the source that speaks to the other leg's party.
#pragma once

#include "relay/dataplane/relay_packet.h"
#include "relay/flow/source.h"
#include "relay/flow/tap.h"
#include "relay/flow/transform.h"

namespace relay {

inline bool has_consumers(const FlowGroup& group, LegId leg) {
  const LegSpec& in = group.spec.legs[index(leg)];
  return in.taps[0] != nullptr || in.transform != nullptr ||
         group.spec.legs[index(other(leg))].source != nullptr ||
         group.shift[index(other(leg))].changes_anything();
}

// For one packet.
class Consumers final : private PacketSink {
 public:
  Consumers(FlowGroup& group, const IngressPacket& packet, const Verdict& verdict, Instant arrival,
            PacketSender& sender, PlaneTotals& totals);
  // What became of the packet.
  Verdict serve();
  // Without a packet: what the transform has waiting. Returns when it wants to be called again.
  Instant flush();
  // The same, all of it: the transform goes.
  void finish();

 private:
  void emit(Bytes packet) override;
  Verdict pass(Bytes packet);
  Bytes shifted(Bytes packet, std::span<std::byte> scratch) const;

  FlowGroup& group_;
  const IngressPacket& packet_;
  const Verdict& verdict_;
  const Instant arrival_;
  PacketSender& sender_;
  PlaneTotals& totals_;
  PacketKind kind_;
};

// A copy of a packet that the kernel has relayed: for the taps, and neither decided nor counted.
void offer_copy(FlowGroup& group, const IngressPacket& packet, Instant arrival,
                PacketSender& sender);

// Lets the source of `leg` speak. Returns when it wants to be called again; Instant::max(): never.
// While the leg cannot send, the source is not called.
Instant play_source(FlowGroup& group, LegId leg, bool first, Instant now, PacketSender& sender,
                    PlaneTotals& totals);
// Lets the transform of `leg` send what has waited long enough; the rest as above.
Instant flush_transform(FlowGroup& group, LegId leg, Instant now, PacketSender& sender,
                        PlaneTotals& totals);
// Before `next` is applied: what waits in a transform that it takes away leaves. A packet may have
// been served between the command and its post.
void finish_transforms(FlowGroup& group, const FlowGroupSpec& next, Instant now,
                       PacketSender& sender, PlaneTotals& totals);
// Whether a source could send there.
bool can_send(const FlowGroup& group, LegId leg, Instant now);

}  // namespace relay
