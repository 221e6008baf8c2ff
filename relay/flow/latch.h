// Latching (RFC 4961, RFC 7362): which remote endpoint a leg takes media from and sends media to.
// Pure state machines: no socket, no clock. One thread at a time.
//
// strict, the rules in order (h: the endpoint that holds the latch):
//   1. h's own packets are accepted.
//   2. While nobody holds it, or signalling has since named another endpoint ("contested"), or h
//      only got it by a run: the first valid packet from the signalled endpoint or, with another
//      port, from the signalled host takes it. (NATs change ports; proxies signal the address the
//      SIP packet came from.) Of a stream that h continues, only packets ahead of h's do: late
//      ones are from where the party was before.
//   3. While h is alive, everybody else is refused.
//   4. h silent: the same SSRC continuing its sequence takes it from anywhere (roaming, NAT
//      rebinding); a consistent run takes it from h's host or the signalled host.
//   5. Nobody holds it, or h is silent and the latch contested: a consistent run takes it from
//      anywhere, if the signalled host stayed silent meanwhile.
//   6. Packets that are not RTP prove nothing and move nothing, except on legs signalled without
//      codecs (T.38, pass-through DTLS), where rule 2 takes any packet. Before the latch is held
//      they are accepted from the signalled host, so that STUN and DTLS can come before RTP.
// Media leaves towards h, or the signalled endpoint while there is no living h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/flow/flow.h"
#include "relay/rtp/demux.h"

namespace relay {

using namespace std::chrono_literals;

// A holder that has sent nothing for this long no longer excludes others. Five packets of 20 ms:
// beyond common jitter, yet a rebinding NAT costs little; taking over needs the SSRC or the host.
inline constexpr Duration kHolderSilence = 100ms;
// A consistent run: one SSRC, each sequence number a little higher, this many packets, spread over
// at least this long, no gap longer than that. A burst of guesses fits none of it.
inline constexpr int kRunPackets = 5;
inline constexpr Duration kRunSpanMin = 60ms;
inline constexpr Duration kRunGapMax = 500ms;
inline constexpr uint16_t kRunSequenceStepMax = 16;
// How far ahead a moved stream's sequence number may be: 60 s of 20 ms packets.
inline constexpr uint16_t kContinueAheadMax = 3000;
// Candidates watched at once on a leg. A spray of single packets can only displace single packets:
// more sources than this within one packet interval delay a newcomer, they never mislead.
inline constexpr size_t kCandidates = 4;
// compat: after a U or L any source may take the latch for this long; a stream continues within
// 536.
inline constexpr Duration kCompatUpdateWindow = 10s;
inline constexpr uint16_t kCompatSequenceAheadMax = 536;

// What the latch needs of a packet.
struct LatchPacket {
  Endpoint source;
  PacketKind kind = PacketKind::other;
  uint32_t ssrc = 0;  // RTP only, as the next three
  uint16_t sequence = 0;
  uint8_t payload_type = 0;
};

enum class LatchResult : uint8_t {
  accept,
  candidate,  // refused so far: it may yet prove itself
  refuse,
  not_rtp,  // refused: it can prove nothing
};

// The latch of a leg's RTP component.
class RtpLatch {
 public:
  // Takes what a U or L said. A repeated endpoint changes nothing; another one opens the contest.
  void signal(const LegSpec& leg, Instant now);
  LatchResult on_packet(const LatchPacket& packet, Instant now);
  // Another plane relays the holder's packets; the newest came at `seen`.
  void follow(Instant seen, uint32_t ssrc, uint16_t sequence);
  // Where media to this party goes; nothing: nowhere.
  std::optional<Endpoint> egress(Instant now) const;

  const std::optional<Endpoint>& holder() const { return holder_; }
  const std::optional<Endpoint>& signalled() const { return signalled_; }
  bool is_alive(Instant now) const { return holder_ && now - holder_seen_ < kHolderSilence; }
  bool contested() const { return contested_; }
  LatchPolicy policy() const { return policy_; }
  // Rises whenever holder, rank or the signalled endpoint changed.
  uint32_t changes() const { return changes_; }
  LatchState state(Instant now) const;

 private:
  using Rank = LatchState::Rank;
  struct Candidate {
    Endpoint source;
    uint32_t ssrc = 0;
    uint16_t sequence = 0;
    int run = 0;
    Instant first_seen{}, last_seen{};
  };

  LatchResult on_packet_strict(const LatchPacket& packet, Instant now);
  LatchResult on_foreign_packet(const LatchPacket& packet, Instant now);
  LatchResult on_packet_compat(const LatchPacket& packet, Instant now);
  LatchResult on_packet_asymmetric(const LatchPacket& packet) const;
  bool compat_may_override(const LatchPacket& packet, Instant now) const;
  Rank rank_of(const Endpoint& source) const;
  bool continues_stream(const LatchPacket& packet) const;
  bool is_straggler(const LatchPacket& packet) const;
  // Counts the packet towards a run of its source; true when the run is complete.
  bool advance_candidate(const LatchPacket& packet, Instant now);
  Candidate& candidate_slot(const LatchPacket& packet, Instant now);
  LatchResult take(const LatchPacket& packet, Rank rank, Instant now);
  void remember(const LatchPacket& packet);

  LatchPolicy policy_ = LatchPolicy::strict;
  bool with_codecs_ = false;
  bool contested_ = false;
  uint32_t changes_ = 0;
  Rank rank_ = Rank::none;
  bool stream_known_ = false;  // ssrc_ and sequence_ are the holder's
  uint16_t sequence_ = 0;
  uint32_t ssrc_ = 0;
  uint32_t signalled_count_ = 0;
  std::optional<Endpoint> signalled_;
  std::optional<Endpoint> holder_;
  Instant holder_seen_{};
  Instant held_since_{};
  uint32_t holders_ = 0;
  Instant signalled_host_seen_{};  // last packet from there that did not take the latch
  Instant update_window_end_{};    // compat
  std::array<Candidate, kCandidates> candidates_{};
};

// RTCP follows RTP's host and never moves RTP.
class RtcpLatch {
 public:
  LatchResult on_packet(const RtpLatch& rtp, const LatchPacket& packet, Instant now);
  std::optional<Endpoint> egress(const RtpLatch& rtp, Instant now) const;
  const std::optional<Endpoint>& holder() const { return holder_; }

 private:
  std::optional<Endpoint> holder_;
  // RTP's egress when `holder_` was learnt: once RTP has moved, what RTCP learnt is stale.
  std::optional<Endpoint> rtp_egress_;
};

}  // namespace relay
