// THE NARROW WAIST, values: what session/ tells a forwarding plane and what a plane reports back.
// A FlowGroup is the up to four flows of one session (two legs, RTP and RTCP). The session owns it;
// a plane borrows it from install() until the ticket of remove() has settled.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/published.h"

namespace relay {

class Tap;
class Transform;
class Source;

// The half of a session that faces one party. The numbers are the protocol's stream numbers.
enum class LegId : uint8_t { callee = 0, caller = 1 };
inline LegId other(LegId leg) {
  return leg == LegId::callee ? LegId::caller : LegId::callee;
}
inline constexpr std::array kLegs{LegId::callee, LegId::caller};

enum class Component : uint8_t { rtp = 0, rtcp = 1 };
inline Component other(Component component) {
  return component == Component::rtp ? Component::rtcp : Component::rtp;
}
inline constexpr std::array kComponents{Component::rtp, Component::rtcp};

inline size_t index(LegId leg) {
  return static_cast<size_t>(leg);
}
inline size_t index(Component component) {
  return static_cast<size_t>(component);
}

enum class LatchPolicy : uint8_t {
  strict,      // only who is signalled or has proven itself; latch.h has the rules
  compat,      // rtpproxy's rules
  asymmetric,  // modifier `a`: the signalled host only, replies always to the signalled endpoint
};

// What signalling and the port pool say of one leg.
struct LegSpec {
  std::array<int, 2> sockets{-1, -1};  // by Component; borrowed from the session, -1 while closed
  Endpoint local;                      // RTP; RTCP is one port higher
  // The party's RTP endpoint as signalled (RTCP one port higher). Nothing: never given, or
  // unusable.
  std::optional<Endpoint> signalled;
  // Counts the U and L that described this leg, also those that repeat the endpoint.
  uint32_t signalled_count = 0;
  LatchPolicy policy = LatchPolicy::strict;
  bool with_codecs = false;  // signalled with an RTP codec list: only RTP can prove an endpoint

  // Borrowed like the sockets. `transform` and then `taps` see what the party sends; `source`
  // speaks to the party.
  static constexpr size_t kTapsMax = 8;
  std::array<Tap*, kTapsMax> taps{};  // the first null ends the list
  Transform* transform = nullptr;
  Source* source = nullptr;

  bool open() const { return sockets[0] >= 0; }
};

struct FlowGroupSpec {
  std::array<LegSpec, 2> legs;           // by LegId
  bool complete = false;                 // both legs exist; until then packets are dropped
  bool duplicate_small_packets = false;  // option -2
  bool forked = false;                   // another session is copied into it: its parties only hear
};

// A stream that sources speak as where they cannot go on with the other party's.
struct OwnStream {
  bool known = false;
  uint32_t ssrc = 0;
  uint16_t sequence = 0;   // of the next packet
  uint32_t timestamp = 0;  // at `at`, with a clock of 8000 Hz
  Instant at{};
};

// What sources and transforms leave behind for what a party hears after them. Outlives both.
struct SequenceShift {
  // The stream that a source has spoken as, or in place of, or that a transform has made another
  // number of packets of: what is added to its sequence numbers, and to the counts in its sender
  // reports (RFC 3550 §6.4.1). All wrap.
  uint32_t ssrc = 0;
  uint16_t offset = 0;
  uint32_t packets = 0, octets = 0;

  OwnStream own{};  // the next source goes on with it

  bool changes_anything() const { return offset != 0 || packets != 0; }
  // Forgets what was of another stream.
  void turn_to(uint32_t stream) {
    if (ssrc == stream) return;
    ssrc = stream;
    offset = 0;
    packets = octets = 0;
  }
};

// Who holds a latch and by what right; published for queries and for the offloader.
struct LatchState {
  enum class Rank : uint8_t {
    none,            // nobody holds it
    proven,          // by a consistent run, or by continuing the stream
    signalled_host,  // the signalled host, another port
    signalled,       // the signalled endpoint itself
  };
  Rank rank = Rank::none;
  bool contested = false;  // signalling named another endpoint since
  Endpoint holder;
  Endpoint egress;  // where media to this party goes now; !valid(): nowhere
  Instant held_since{};
  uint32_t holders = 0;  // so many endpoints have held it one after the other
};

}  // namespace relay
