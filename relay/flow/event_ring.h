// The last things that happened to a session, for people. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "relay/base/clock.h"
#include "relay/flow/flow.h"

namespace relay {

enum class SessionEvent : uint8_t {
#define SESSION_EVENT(name, help) name,
#include "relay/flow/event.def"
#undef SESSION_EVENT
};
inline constexpr size_t kSessionEvents = 0
#define SESSION_EVENT(name, help) +1
#include "relay/flow/event.def"
#undef SESSION_EVENT
    ;
std::string_view to_string(SessionEvent event);

struct PastEvent {
  Instant at{};
  SessionEvent event = SessionEvent::created;
  bool of_leg = false;  // else of the session
  LegId leg = LegId::callee;
  friend bool operator==(const PastEvent&, const PastEvent&) = default;
};
static_assert(sizeof(PastEvent) == 16);

class EventRing {
 public:
  static constexpr size_t kEvents = 8;

  void add(Instant at, SessionEvent event) { add({at, event, false, LegId::callee}); }
  void add(Instant at, SessionEvent event, LegId leg) { add({at, event, true, leg}); }
  // Oldest first; at most kEvents.
  std::vector<PastEvent> past() const;
  // How many older ones have been overwritten.
  uint32_t forgotten() const { return added_ < kEvents ? 0 : added_ - uint32_t{kEvents}; }

 private:
  void add(const PastEvent& event) { events_[added_++ % kEvents] = event; }

  std::array<PastEvent, kEvents> events_{};
  uint32_t added_ = 0;
};

struct FlowGroup;
// The ring's, and when each leg's latch was last taken, which the packet path keeps. Oldest first.
std::vector<PastEvent> past_events(const FlowGroup& group);

}  // namespace relay
