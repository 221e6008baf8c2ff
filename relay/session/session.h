// All media state under one call-id and from-tag. SessionManager alone changes it; handlers read.
// Control thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/flow/decide.h"
#include "relay/flow/flow.h"
#include "relay/flow/forwarding_plane.h"
#include "relay/flow/source.h"
#include "relay/flow/tap.h"
#include "relay/flow/transform.h"
#include "relay/session/port_pool.h"

namespace relay {

// A configured local media address. `label` and `advertised` may be empty.
struct LocalAddress {
  std::string label;
  IpAddress bind;
  std::string advertised;  // what replies show instead of `bind`
};

struct TtlSettings {
  std::chrono::seconds normal{60};
  std::chrono::seconds setup{60};  // until the second leg exists
  // One time-out a direction, and the first to run out ends the session; else either direction
  // keeps the session alive.
  bool independent = false;
  // How long what a source sends keeps a session alive without a sign of either party; 0: for ever.
  std::chrono::seconds source{3600};
};

// Where a leg's ports are, or will be, opened.
struct LocalPlan {
  IpAddress bind;
  const std::string* advertised = nullptr;  // in the settings; nullptr: none
};

// How a session came to its end.
enum class SessionEnd : uint8_t { deleted, timed_out, shut_down };

struct SessionLeg {
  std::optional<PortPair> ports;
  LocalPlan local;
  bool weak = false;
  int tos = -1;           // set by `S tos=`; -1: the default
  uint32_t ttl_s = 0;     // set by `S ttl=`; 0: the default
  std::string codecs;     // payload types as bytes, as the party's SDP named them
  uint16_t ptime_ms = 0;  // `z` of the party's last U or L; 0: none
  Instant refreshed{};    // by a command
  bool on_hold = false;   // its party is, by the last command that described it: 0.0.0.0 or ::
  uint32_t holds = 0;     // how often it was put on hold
  // SessionManager::attach and its like; `spec` names them to the plane.
  std::vector<std::unique_ptr<Tap>> taps;
  std::unique_ptr<Transform> transform;
  std::unique_ptr<Source> source;
  Instant source_since{};
};

// A to-tag that answered, and the media address it answered with.
struct Answer {
  std::string tag;
  std::optional<Endpoint> signalled;
};

struct Notification {
  std::string socket, tag;
};

// Ties of a session that others are copied into, or that is copied into others; forks.cc.
struct SessionForks {
  struct Copy {
    uint64_t source_serial = 0;
    LegId leg = LegId::callee;   // of the source, whose party is copied
    LegId into = LegId::callee;  // of this session, whose party hears it
    const Tap* tap = nullptr;    // of the source
  };
  std::vector<Copy> from;
  std::vector<uint64_t> into;  // serials
  // Of taps that are detached, but may still use this session.
  std::vector<PlaneTicket> pending;
};

struct Session {
  uint64_t serial = 0;  // never used twice
  std::string call_id;
  std::string from_tag;            // with media number
  std::array<SessionLeg, 2> legs;  // by LegId
  bool strong = false;
  bool counted_complete = false;
  bool answered = false;  // the caller's ports were told, since it was created or revived
  // Deleted while a further fork branch may still answer: silent, invisible to all but U and L.
  bool lingering = false;
  bool answered_without_tag = false;
  Instant created{};
  Instant ended{};  // since when it is lingering or gone
  SessionEnd ending = SessionEnd::deleted;
  Instant lingers_until{};
  Instant armed_at{};           // when the deadline queue looks at it next
  std::vector<Answer> answers;  // oldest first; the last is where media to the callee goes
  std::string rejected_tag;     // the to-tag whose D made it linger
  std::unique_ptr<Notification> notification;
  std::unique_ptr<SessionForks> forks;
  FlowGroupSpec spec;  // as last told to the plane
  std::unique_ptr<FlowGroup> flows;

  SessionLeg& leg(LegId id) { return legs[index(id)]; }
  const SessionLeg& leg(LegId id) const { return legs[index(id)]; }
  LegSpec& leg_spec(LegId id) { return spec.legs[index(id)]; }
  const LegSpec& leg_spec(LegId id) const { return spec.legs[index(id)]; }
  bool both_open() const { return legs[0].ports && legs[1].ports; }
  bool weak() const { return legs[0].weak || legs[1].weak; }

  // When it ends if nothing happens until then.
  Instant deadline(const TtlSettings& settings) const;
};

}  // namespace relay
