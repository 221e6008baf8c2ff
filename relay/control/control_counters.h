// What happened at the control sockets since start. Control thread only.
#pragma once

#include <cstdint>

namespace relay {

struct ControlCounters {
#define COUNTER(name, meaning) uint64_t name = 0;
#include "relay/control/control_counter.def"
#undef COUNTER
};

// What a Notifier counts.
struct NotifyCounters {
  uint64_t& sent;
  uint64_t& retried;
  uint64_t& refused;
  uint64_t& dropped;
};
inline NotifyCounters timeout_counters(ControlCounters& counters) {
  return {counters.notifications_sent, counters.notifications_retried,
          counters.notifications_refused, counters.notifications_dropped};
}
inline NotifyCounters voice_event_counters(ControlCounters& counters) {
  return {counters.voice_events_sent, counters.voice_events_retried, counters.voice_events_refused,
          counters.voice_events_dropped};
}

struct ControlCounterRow {
  const char* name;
  const char* meaning;
  uint64_t ControlCounters::*value;
};

inline constexpr ControlCounterRow kControlCounterRows[] = {
#define COUNTER(name, meaning) {#name, meaning, &ControlCounters::name},
#include "relay/control/control_counter.def"
#undef COUNTER
};

}  // namespace relay
