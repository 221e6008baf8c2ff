#include "relay/session/session.h"

#include <algorithm>

namespace relay {
namespace {

Instant last_active(const Session& session, LegId leg) {
  Instant latest = session.leg(leg).refreshed;
  for (const Component component : kComponents) {
    latest = std::max(latest, last_accepted(*session.flows, leg, component));
  }
  // The parties of a fork only hear, so it lives as long as there is something to hear.
  for (const LegId hearing : kLegs) {
    const FlowStats& stats = session.flows->stats_of(hearing, Component::rtp);
    latest = std::max(latest, from_ns(stats.last_forked_ns.load(std::memory_order_relaxed)));
  }
  return latest;
}

// The last sign that somebody still cares about the call: media, RTCP or a command.
Instant last_sign(const Session& session) {
  Instant latest{};
  for (const LegId leg : kLegs) {
    latest = std::max({latest, last_active(session, leg), session.leg(leg).source_since});
  }
  return latest;
}

// As rtpproxy counts them: packets that a source sends to a party are activity of the other one,
// in whose place it speaks. Not for ever, though: where the BYE was lost, an endless prompt would
// keep its session and ports.
Instant last_played(const Session& session, LegId leg, const TtlSettings& settings) {
  const FlowStats& stats = session.flows->stats_of(other(leg), Component::rtp);
  const Instant played = from_ns(stats.last_played_ns.load(std::memory_order_relaxed));
  if (played == Instant{} || settings.source.count() == 0) return played;
  return std::min(played, last_sign(session) + settings.source);
}

Duration ttl_of(const Session& session, LegId leg, const TtlSettings& settings) {
  if (session.leg(leg).ttl_s != 0) return std::chrono::seconds(session.leg(leg).ttl_s);
  return session.both_open() ? settings.normal : settings.setup;
}

}  // namespace

Instant Session::deadline(const TtlSettings& settings) const {
  if (lingering) return lingers_until;
  const auto last = [&](LegId leg) {
    return std::max(last_active(*this, leg), last_played(*this, leg, settings));
  };
  const Instant callee = last(LegId::callee);
  const Instant caller = last(LegId::caller);
  const Duration callee_ttl = ttl_of(*this, LegId::callee, settings);
  const Duration caller_ttl = ttl_of(*this, LegId::caller, settings);
  if (settings.independent) return std::min(callee + callee_ttl, caller + caller_ttl);
  return std::max(callee, caller) + std::min(callee_ttl, caller_ttl);
}

}  // namespace relay
