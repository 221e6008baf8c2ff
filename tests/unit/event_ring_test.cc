#include <doctest/doctest.h>

#include <memory>

#include "relay/flow/decide.h"

namespace relay {

TEST_CASE("the event ring keeps the last eight, oldest first, and counts what it forgot") {
  EventRing ring;
  CHECK(ring.past().empty());
  ring.add(from_ns(1), SessionEvent::created);
  ring.add(from_ns(2), SessionEvent::held, LegId::caller);
  REQUIRE(ring.past().size() == 2);
  CHECK(ring.past()[0] == PastEvent{from_ns(1), SessionEvent::created, false, LegId::callee});
  CHECK(ring.past()[1] == PastEvent{from_ns(2), SessionEvent::held, true, LegId::caller});
  CHECK(ring.forgotten() == 0);
  for (int i = 3; i <= 20; ++i) ring.add(from_ns(i), SessionEvent::offloaded, LegId::callee);
  const auto past = ring.past();
  REQUIRE(past.size() == EventRing::kEvents);
  CHECK(past.front().at == from_ns(13));
  CHECK(past.back().at == from_ns(20));
  CHECK(ring.forgotten() == 12);
}

TEST_CASE("the packet path's latches are told among the control thread's events") {
  const auto group = std::make_unique<FlowGroup>();
  group->events.add(from_ns(10), SessionEvent::created);
  group->events.add(from_ns(30), SessionEvent::complete);
  LatchState latch;
  latch.held_since = from_ns(20);
  latch.holders = 1;
  group->latch[index(LegId::caller)].store(latch);
  latch.held_since = from_ns(40);
  latch.holders = 2;
  group->latch[index(LegId::callee)].store(latch);
  const auto past = past_events(*group);
  REQUIRE(past.size() == 4);
  CHECK(past[1] == PastEvent{from_ns(20), SessionEvent::latched, true, LegId::caller});
  CHECK(past[2].event == SessionEvent::complete);
  CHECK(past[3] == PastEvent{from_ns(40), SessionEvent::relatched, true, LegId::callee});
}

// Of the 12 KiB a call may cost, sockets and tables need the rest.
TEST_CASE("what is kept of one session's flows stays small") {
  CHECK(sizeof(FlowGroup) <= 6 * 1024);
}

}  // namespace relay
