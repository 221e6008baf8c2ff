// What is known of a session that has ended, as values: what the writers of call records work on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/session/session.h"

namespace relay {

struct LegRecord {
  bool open = false;
  Endpoint local;                     // RTP; of no meaning unless open
  std::optional<Endpoint> signalled;  // RTP, by the last command
  // Where the party's media came from, or else should have; !valid(): never told.
  Endpoint rtp_remote, rtcp_remote;
  LatchState latch;
  bool on_hold = false;
  uint32_t holds = 0;
  std::string codecs;  // payload types as bytes
  FlowFigures rtp, rtcp;
  uint64_t rtp_relayed = 0, rtcp_relayed = 0;  // what came in here and left, re-packetised or not
  uint64_t rtp_in_kernel = 0, rtcp_in_kernel = 0;  // of these
  uint64_t played = 0;                             // sent to the party by prompts and voices
};

struct CallRecord {
  uint64_t serial = 0;
  std::string call_id, from_tag;
  std::vector<std::string> to_tags;  // of those that answered
  bool complete = false;             // both legs were there
  SessionEnd ending = SessionEnd::deleted;
  Instant created{}, ended{};
  Duration wall_offset{0};        // time since 1970 (UTC) less the monotonic clock
  std::array<LegRecord, 2> legs;  // by LegId

  const LegRecord& leg(LegId id) const { return legs[index(id)]; }
};

// Requires: the plane has let go of the session.
CallRecord to_call_record(const Session& session, Duration wall_offset);

// The wall clock less the monotonic one, now.
Duration wall_offset_now();

// Microseconds since 1970 of an instant of the record; 0 for Instant{}, which means never.
int64_t wall_us(const CallRecord& record, Instant instant);

}  // namespace relay
