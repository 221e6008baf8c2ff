#include "relay/dataplane/consumers.h"

#include <algorithm>
#include <array>

#include "relay/dataplane/packet_io.h"
#include "relay/rtp/rtcp_rewrite.h"

namespace relay {
namespace {

// Where RTP or RTCP to the leg's party goes; decide.cc has the rule for RTCP.
struct Exit {
  Component component;
  std::optional<Endpoint> destination;
};

Exit exit_of(const FlowGroup& group, LegId leg, Component component, Instant now) {
  const RtpLatch& rtp = group.rtp_latch[index(leg)];
  const bool muxed = group.rtcp_habit[index(leg)] == RtcpHabit::muxed;
  if (component == Component::rtp || muxed) return {Component::rtp, rtp.egress(now)};
  return {Component::rtcp, group.rtcp_latch[index(leg)].egress(rtp, now)};
}

class Output final : public SourceOutput {
 public:
  Output(FlowGroup& group, LegId leg, Instant now, PacketSender& sender, PlaneTotals& totals)
      : group_(group), leg_(leg), now_(now), sender_(sender), totals_(totals) {}

  void emit(Component component, Bytes packet) override {
    const Exit exit = exit_of(group_, leg_, component, now_);
    if (!exit.destination) return;
    const Verdict verdict = Verdict::forward(leg_, exit.component, *exit.destination);
    if (send_packet(group_, verdict, packet, sender_) != 0) return;
    FlowStats& stats = group_.stats_of(leg_, component);
    stats.played.add();
    stats.last_played_ns.store(to_ns(now_), std::memory_order_relaxed);
    totals_.played.add();
  }

 private:
  FlowGroup& group_;
  const LegId leg_;
  const Instant now_;
  PacketSender& sender_;
  PlaneTotals& totals_;
};

struct Offer {
  const FlowGroup& group;
  const IngressPacket& packet;
  PacketKind kind;
  Instant arrival;
  const PacketSender& sender;
};

// True: one of the taps keeps it. All see it.
bool offer(const Offer& offered, Bytes bytes, bool replaced) {
  const LegId leg = offered.packet.leg;
  const auto& taps = offered.group.spec.legs[index(leg)].taps;
  if (taps[0] == nullptr) return false;
  TappedPacket tapped;
  tapped.leg = leg;
  tapped.component = offered.packet.component;
  tapped.kind = offered.kind;
  tapped.replaced = replaced;
  tapped.source = offered.packet.source;
  tapped.local = offered.sender.local_of(offered.group, leg, offered.packet.component);
  tapped.bytes = bytes;
  tapped.arrival = offered.arrival;
  tapped.thread = offered.sender.thread_number();
  bool consumed = false;
  for (Tap* tap : taps) {
    if (tap == nullptr) break;
    if (tap->wants(offered.kind)) consumed = tap->offer(tapped) == TapAnswer::consume || consumed;
  }
  return consumed;
}

}  // namespace

Consumers::Consumers(FlowGroup& group, const IngressPacket& packet, const Verdict& verdict,
                     Instant arrival, PacketSender& sender, PlaneTotals& totals)
    : group_(group),
      packet_(packet),
      verdict_(verdict),
      arrival_(arrival),
      sender_(sender),
      totals_(totals),
      kind_(demux(packet.bytes)) {}

Verdict Consumers::serve() {
  Transform* transform = group_.spec.legs[index(packet_.leg)].transform;
  const bool transforms = transform != nullptr && kind_ == PacketKind::rtp &&
                          packet_.component == Component::rtp &&
                          verdict_.kind == Verdict::Kind::forward;
  if (!transforms) return pass(packet_.bytes);
  totals_.transformed.add();
  const bool in_time = transform->on_packet(packet_.bytes, arrival_, *this);
  return in_time ? Verdict::consume() : Verdict::drop(DropReason::late);
}

Instant Consumers::flush() {
  kind_ = PacketKind::rtp;
  return group_.spec.legs[index(packet_.leg)].transform->on_time(arrival_, *this);
}

void Consumers::finish() {
  kind_ = PacketKind::rtp;
  group_.spec.legs[index(packet_.leg)].transform->finish(*this);
}

void Consumers::emit(Bytes packet) {
  if (pass(packet).kind != Verdict::Kind::forward) return;
  group_.stats_of(packet_.leg, packet_.component).emitted.add();
  totals_.emitted.add();
}

Verdict Consumers::pass(Bytes packet) {
  const bool is_forward = verdict_.kind == Verdict::Kind::forward;
  const LegId egress = other(packet_.leg);
  Source* source = is_forward ? group_.spec.legs[index(egress)].source : nullptr;
  const bool is_media = kind_ == PacketKind::rtp || kind_ == PacketKind::rtcp;
  std::array<std::byte, kReceiveBufferBytes> from_source, from_shift;
  Bytes leaving = packet;
  if (source != nullptr && is_media) {
    leaving = source->instead_of(kind_, packet, arrival_, from_source);
    publish_shift(group_, egress);
  }
  const bool replaced = leaving.empty() && !packet.empty();
  const Offer offered{group_, packet_, kind_, arrival_, sender_};
  if (offer(offered, packet, replaced)) return Verdict::consume();
  if (replaced) return Verdict::drop(DropReason::replaced);
  if (!is_forward) return verdict_;
  leaving = shifted(leaving, from_shift);
  if (send_packet(group_, verdict_, leaving, sender_) == 0) return verdict_;
  return Verdict::drop(DropReason::send_failed);
}

Bytes Consumers::shifted(Bytes packet, std::span<std::byte> scratch) const {
  const SequenceShift& shift = group_.shift[index(other(packet_.leg))];
  if (!shift.changes_anything()) return packet;
  if (kind_ == PacketKind::rtcp) {
    return with_sender_counts(packet, shift.ssrc, shift.packets, shift.octets, scratch);
  }
  if (kind_ != PacketKind::rtp || packet.size() < 12 || read_be32(packet, 8) != shift.ssrc) {
    return packet;
  }
  std::copy(packet.begin(), packet.end(), scratch.begin());
  write_be16(scratch, 2, static_cast<uint16_t>(read_be16(packet, 2) + shift.offset));
  return scratch.first(packet.size());
}

void offer_copy(FlowGroup& group, const IngressPacket& packet, Instant arrival,
                PacketSender& sender) {
  offer({group, packet, demux(packet.bytes), arrival, sender}, packet.bytes, false);
}

namespace {

// Where the packets that a transform of `leg` lets go by itself leave to.
Verdict way_out(FlowGroup& group, LegId leg, Instant now) {
  const Exit exit = exit_of(group, other(leg), Component::rtp, now);
  const bool can_leave = exit.destination && group.spec.legs[index(other(leg))].open();
  return can_leave ? Verdict::forward(other(leg), exit.component, *exit.destination)
                   : Verdict::drop(DropReason::no_egress);
}

IngressPacket no_packet(const FlowGroup& group, LegId leg) {
  const Endpoint source = group.rtp_latch[index(leg)].holder().value_or(Endpoint{});
  return {leg, Component::rtp, source, {}};
}

}  // namespace

Instant flush_transform(FlowGroup& group, LegId leg, Instant now, PacketSender& sender,
                        PlaneTotals& totals) {
  const IngressPacket none = no_packet(group, leg);
  const Verdict verdict = way_out(group, leg, now);
  return Consumers(group, none, verdict, now, sender, totals).flush();
}

void finish_transforms(FlowGroup& group, const FlowGroupSpec& next, Instant now,
                       PacketSender& sender, PlaneTotals& totals) {
  for (const LegId leg : kLegs) {
    const Transform* transform = group.spec.legs[index(leg)].transform;
    if (transform == nullptr || transform == next.legs[index(leg)].transform) continue;
    const IngressPacket none = no_packet(group, leg);
    const Verdict verdict = way_out(group, leg, now);
    Consumers(group, none, verdict, now, sender, totals).finish();
  }
}

namespace {

// The analyser sees what comes, a source what the transform makes of it.
RtpStreamState heard_from(const FlowGroup& group, LegId leg) {
  RtpStreamState heard = group.analyser[index(leg)].state();
  const Transform* transform = group.spec.legs[index(leg)].transform;
  if (transform == nullptr || transform->shift().ssrc != heard.ssrc_last) return heard;
  heard.run_highest += transform->shift().offset;
  return heard;
}

}  // namespace

bool can_send(const FlowGroup& group, LegId leg, Instant now) {
  if (!group.spec.legs[index(leg)].open()) return false;
  return exit_of(group, leg, Component::rtp, now).destination.has_value();
}

Instant play_source(FlowGroup& group, LegId leg, bool first, Instant now, PacketSender& sender,
                    PlaneTotals& totals) {
  Source& source = *group.spec.legs[index(leg)].source;
  SequenceShift& shift = group.shift[index(leg)];
  if (first) source.start(heard_from(group, other(leg)), shift, now);
  Output output(group, leg, now, sender, totals);
  const Instant next = source.play(now, output);
  publish_shift(group, leg);
  return next;
}

}  // namespace relay
