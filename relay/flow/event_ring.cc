#include "relay/flow/event_ring.h"

#include <algorithm>

#include "relay/flow/decide.h"

namespace relay {

std::string_view to_string(SessionEvent event) {
  switch (event) {
#define SESSION_EVENT(name, help) \
  case SessionEvent::name:        \
    return #name;
#include "relay/flow/event.def"
#undef SESSION_EVENT
  }
  return "unknown";
}

std::vector<PastEvent> EventRing::past() const {
  std::vector<PastEvent> past;
  for (uint32_t i = forgotten(); i < added_; ++i) past.push_back(events_[i % kEvents]);
  return past;
}

std::vector<PastEvent> past_events(const FlowGroup& group) {
  std::vector<PastEvent> past = group.events.past();
  for (const LegId leg : kLegs) {
    const LatchState latch = group.latch_of(leg);
    if (latch.holders == 0) continue;
    const auto event = latch.holders == 1 ? SessionEvent::latched : SessionEvent::relatched;
    past.push_back({latch.held_since, event, true, leg});
  }
  std::stable_sort(past.begin(), past.end(),
                   [](const PastEvent& a, const PastEvent& b) { return a.at < b.at; });
  return past;
}

}  // namespace relay
