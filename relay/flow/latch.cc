#include "relay/flow/latch.h"

#include <algorithm>

#include "relay/base/assert.h"

namespace relay {
namespace {

uint16_t forward_distance(uint16_t from, uint16_t to) {
  return static_cast<uint16_t>(to - from);
}

// RFC 5761 §4: these would be RTCP packet types with the marker bit set, and are never assigned.
bool plausible_payload_type(uint8_t type) {
  return type < 64 || type > 95;
}

}  // namespace

void RtpLatch::signal(const LegSpec& leg, Instant now) {
  policy_ = leg.policy;
  with_codecs_ = leg.with_codecs;
  if (leg.signalled_count == signalled_count_) return;
  signalled_count_ = leg.signalled_count;
  if (signalled_ || holder_) update_window_end_ = now + kCompatUpdateWindow;
  // On hold (0.0.0.0) the session repeats the endpoint it had; without any, nothing changes here.
  if (!leg.signalled || leg.signalled == signalled_) return;
  signalled_ = leg.signalled;
  signalled_host_seen_ = Instant{};
  candidates_ = {};
  if (holder_) {
    rank_ = std::max(rank_of(*holder_), Rank::proven);
    contested_ = *holder_ != *signalled_;
  }
  ++changes_;
}

LatchResult RtpLatch::on_packet(const LatchPacket& packet, Instant now) {
  switch (policy_) {
    case LatchPolicy::strict:
      return on_packet_strict(packet, now);
    case LatchPolicy::compat:
      return on_packet_compat(packet, now);
    case LatchPolicy::asymmetric:
      return on_packet_asymmetric(packet);
  }
  RELAY_ASSERT(false);
}

void RtpLatch::follow(Instant seen, uint32_t ssrc, uint16_t sequence) {
  if (!holder_ || seen <= holder_seen_) return;
  holder_seen_ = seen;
  remember({*holder_, PacketKind::rtp, ssrc, sequence, 0});
}

std::optional<Endpoint> RtpLatch::egress(Instant now) const {
  if (policy_ == LatchPolicy::asymmetric) return signalled_;
  if (holder_ && (!contested_ || is_alive(now))) return holder_;
  return signalled_;
}

LatchState RtpLatch::state(Instant now) const {
  return {rank_,       contested_, holder_.value_or(Endpoint{}), egress(now).value_or(Endpoint{}),
          held_since_, holders_};
}

LatchResult RtpLatch::on_packet_strict(const LatchPacket& packet, Instant now) {
  if (holder_ && packet.source == *holder_) {
    holder_seen_ = now;
    remember(packet);
    return LatchResult::accept;
  }
  return on_foreign_packet(packet, now);
}

LatchResult RtpLatch::on_foreign_packet(const LatchPacket& packet, Instant now) {
  const Rank rank = rank_of(packet.source);
  const bool from_signalled_host = rank >= Rank::signalled_host;
  const bool is_open = !holder_ || contested_;
  const bool is_proof =
      packet.kind == PacketKind::rtp || (!with_codecs_ && packet.kind != PacketKind::rtcp);
  if (!is_proof) {
    if (is_open && from_signalled_host) {
      signalled_host_seen_ = now;
      return LatchResult::accept;
    }
    return holder_ ? LatchResult::refuse : LatchResult::not_rtp;
  }
  const bool holds_by_proof = rank_ == Rank::proven && !is_straggler(packet);
  if (from_signalled_host && (is_open || holds_by_proof)) return take(packet, rank, now);
  if (is_alive(now)) return LatchResult::refuse;
  if (packet.kind != PacketKind::rtp) {
    if (holder_ && from_signalled_host) return take(packet, rank, now);
    return holder_ ? LatchResult::refuse : LatchResult::not_rtp;
  }
  if (holder_) {
    if (continues_stream(packet)) return take(packet, rank, now);
    const bool from_known_host = from_signalled_host || packet.source.address == holder_->address;
    if (!from_known_host && !contested_) return LatchResult::refuse;
  }
  return advance_candidate(packet, now) ? take(packet, rank, now) : LatchResult::candidate;
}

// rtpproxy's rules, with two faults mended: an address learnt without having been signalled can
// still be followed, and a re-INVITE can move media that was learnt from packets.
LatchResult RtpLatch::on_packet_compat(const LatchPacket& packet, Instant now) {
  const std::optional<Endpoint>& remote = holder_ ? holder_ : signalled_;
  const bool from_remote = remote && packet.source == *remote;
  if (from_remote && holder_) {
    holder_seen_ = now;
    remember(packet);
    return LatchResult::accept;
  }
  if (from_remote || !holder_ || compat_may_override(packet, now)) {
    return take(packet, rank_of(packet.source), now);
  }
  return LatchResult::refuse;
}

bool RtpLatch::compat_may_override(const LatchPacket& packet, Instant now) const {
  if (packet.kind != PacketKind::rtp) return false;
  if (now < update_window_end_) return true;
  return stream_known_ && packet.ssrc == ssrc_ &&
         forward_distance(sequence_, packet.sequence) <= kCompatSequenceAheadMax;
}

LatchResult RtpLatch::on_packet_asymmetric(const LatchPacket& packet) const {
  const bool from_signalled_host = rank_of(packet.source) >= Rank::signalled_host;
  return from_signalled_host ? LatchResult::accept : LatchResult::refuse;
}

RtpLatch::Rank RtpLatch::rank_of(const Endpoint& source) const {
  if (!signalled_ || source.address != signalled_->address) return Rank::none;
  return source.port == signalled_->port ? Rank::signalled : Rank::signalled_host;
}

// Forward only: a replayed packet of the holder's continues nothing.
bool RtpLatch::continues_stream(const LatchPacket& packet) const {
  if (!stream_known_ || packet.ssrc != ssrc_) return false;
  const uint16_t ahead = forward_distance(sequence_, packet.sequence);
  return ahead >= 1 && ahead <= kContinueAheadMax;
}

// Sent before the holder's newest packet: late, from where the stream was before it moved.
bool RtpLatch::is_straggler(const LatchPacket& packet) const {
  if (packet.kind != PacketKind::rtp || !stream_known_ || packet.ssrc != ssrc_) return false;
  const uint16_t ahead = forward_distance(sequence_, packet.sequence);
  return ahead == 0 || ahead >= 0x8000;
}

bool RtpLatch::advance_candidate(const LatchPacket& packet, Instant now) {
  if (!plausible_payload_type(packet.payload_type)) return false;
  Candidate& candidate = candidate_slot(packet, now);
  const uint16_t step = forward_distance(candidate.sequence, packet.sequence);
  const bool continues = candidate.run > 0 && candidate.ssrc == packet.ssrc && step >= 1 &&
                         step <= kRunSequenceStepMax && now - candidate.last_seen <= kRunGapMax &&
                         candidate.first_seen >= signalled_host_seen_;
  if (!continues) candidate = {packet.source, packet.ssrc, packet.sequence, 0, now, now};
  candidate.run++;
  candidate.sequence = packet.sequence;
  candidate.last_seen = now;
  return candidate.run >= kRunPackets && now - candidate.first_seen >= kRunSpanMin;
}

// The source's own slot, else the one least worth keeping: what has gone quiet, then the shortest
// run, then the oldest. A source that keeps sending is thus never displaced by single packets.
RtpLatch::Candidate& RtpLatch::candidate_slot(const LatchPacket& packet, Instant now) {
  Candidate* worst = &candidates_[0];
  for (Candidate& candidate : candidates_) {
    if (candidate.run > 0 && candidate.source == packet.source) return candidate;
    const auto worth = [now](const Candidate& c) {
      return now - c.last_seen > kRunGapMax ? 0 : c.run;
    };
    if (worth(candidate) < worth(*worst) ||
        (worth(candidate) == worth(*worst) && candidate.last_seen < worst->last_seen)) {
      worst = &candidate;
    }
  }
  worst->run = 0;
  return *worst;
}

LatchResult RtpLatch::take(const LatchPacket& packet, Rank rank, Instant now) {
  if (holder_ != packet.source) {
    held_since_ = now;
    ++holders_;
  }
  holder_ = packet.source;
  holder_seen_ = now;
  rank_ = std::max(rank, Rank::proven);
  contested_ = false;
  candidates_ = {};
  stream_known_ = false;
  remember(packet);
  ++changes_;
  return LatchResult::accept;
}

void RtpLatch::remember(const LatchPacket& packet) {
  if (packet.kind != PacketKind::rtp) return;
  const bool is_older = stream_known_ && packet.ssrc == ssrc_ &&
                        forward_distance(sequence_, packet.sequence) >= 0x8000;
  if (is_older) return;
  stream_known_ = true;
  ssrc_ = packet.ssrc;
  sequence_ = packet.sequence;
}

LatchResult RtcpLatch::on_packet(const RtpLatch& rtp, const LatchPacket& packet, Instant now) {
  const auto is_host_of = [&packet](const std::optional<Endpoint>& endpoint) {
    return endpoint && endpoint->address == packet.source.address;
  };
  const bool follows_signalling =
      !rtp.holder() || rtp.contested() || rtp.policy() == LatchPolicy::asymmetric;
  const bool from_party =
      is_host_of(rtp.holder()) || (follows_signalling && is_host_of(rtp.signalled()));
  if (!from_party) return LatchResult::refuse;
  if (packet.kind == PacketKind::rtcp && rtp.policy() != LatchPolicy::asymmetric) {
    holder_ = packet.source;
    rtp_egress_ = rtp.egress(now);
  }
  return LatchResult::accept;
}

std::optional<Endpoint> RtcpLatch::egress(const RtpLatch& rtp, Instant now) const {
  const std::optional<Endpoint> rtp_egress = rtp.egress(now);
  if (!rtp_egress) return std::nullopt;
  if (holder_ && rtp_egress_ == rtp_egress && holder_->address == rtp_egress->address) {
    return holder_;
  }
  return rtp_egress->with_port_offset(1);
}

}  // namespace relay
