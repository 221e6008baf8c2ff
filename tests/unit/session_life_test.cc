// How long sessions live, and what their end leaves behind.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "relay/session/session_manager.h"
#include "tests/support/fake_plane.h"
#include "tests/support/fake_sockets.h"
#include "tests/support/manual_clock.h"
#include "tests/support/rtp_packet.h"

namespace relay {
namespace {

using std::chrono::seconds;

const Endpoint kCaller{*IpAddress::parse("192.0.2.1"), 4000};
const Endpoint kCallee{*IpAddress::parse("192.0.2.2"), 5000};

SessionSettings settings(uint16_t port_max = 65000) {
  SessionSettings result;
  result.local_addresses = {{"", IpAddress::any(Family::ipv4), ""}};
  result.ports = {30000, port_max, true, 184, 0};
  return result;
}

SessionLimits limits(int ttl_s, int setup_ttl_s, bool independent = false) {
  SessionLimits result;
  result.ttl = {seconds(ttl_s), seconds(setup_ttl_s), independent};
  return result;
}

struct Relay {
  explicit Relay(const SessionLimits& session_limits = limits(60, 60),
                 const SessionSettings& session_settings = settings())
      : plane(clock), sessions(session_settings, session_limits, sockets, plane, clock) {}

  auto update(const std::string& call_id) {
    MediaRequest request;
    request.call_id = call_id;
    request.from_tag = "ft";
    request.media = kCaller;
    return sessions.update(request);
  }
  auto lookup(const std::string& call_id) {
    MediaRequest request;
    request.call_id = call_id;
    request.from_tag = "ft";
    request.to_tag = "tt";
    request.media = kCallee;
    return sessions.lookup(request);
  }
  Session& complete(const std::string& call_id) {
    REQUIRE(update(call_id));
    const auto answer = lookup(call_id);
    REQUIRE(answer);
    return *answer->session;
  }
  Verdict::Kind packet(Session& session, LegId leg, const Endpoint& source, uint32_t ssrc = 1) {
    const auto bytes = rtp_packet(++sequence, ssrc);
    return plane.deliver(*session.flows, {leg, Component::rtp, source, bytes}).kind;
  }
  // How many whole seconds it lives from now on, up to `most`.
  int life_s(int most) {
    for (int i = 1; i <= most; ++i) {
      clock.advance(seconds(1));
      sessions.expire();
      if (sessions.active() == 0) return i;
    }
    return most + 1;
  }

  ManualClock clock;
  FakePlane plane;
  FakeSockets sockets;
  SessionManager sessions;
  uint16_t sequence = 0;
};

}  // namespace

TEST_CASE("a session lives its time-out after what refreshed it last") {
  struct Case {
    std::string description;
    SessionLimits limits;
    bool answered;
    bool callee_speaks, caller_speaks;  // at second 3
    int expected_s;
  };
  const std::vector<Case> cases = {
      {"set-up time-out until it is answered", limits(10, 4), false, false, false, 4},
      {"packets do not count until then", limits(10, 4), false, false, true, 4},
      {"normal time-out once answered", limits(10, 4), true, false, false, 10},
      {"a shorter one, too", limits(4, 10), true, false, false, 4},
      {"either direction keeps it alive", limits(10, 4), true, true, false, 13},
      {"the other one as well", limits(10, 4), true, false, true, 13},
      {"independent: both must speak", limits(10, 4, true), true, true, true, 13},
      {"independent: one silent direction ends it", limits(10, 4, true), true, true, false, 10},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Relay relay(c.limits);
    REQUIRE(relay.update("cid"));
    if (c.answered) REQUIRE(relay.lookup("cid"));
    Session& session = *relay.sessions.find("cid", "ft", std::nullopt)->session;
    CHECK(relay.life_s(3) == 4);
    if (c.callee_speaks) relay.packet(session, LegId::callee, kCallee);
    if (c.caller_speaks) relay.packet(session, LegId::caller, kCaller);
    CHECK(relay.life_s(20) == c.expected_s - 3);
    CHECK(relay.sessions.counters().timed_out == 1);
  }
}

TEST_CASE("strangers do not keep a session alive") {
  Relay relay(limits(10, 10));
  Session& session = relay.complete("cid");
  relay.packet(session, LegId::callee, kCallee);
  relay.packet(session, LegId::caller, kCaller);
  CHECK(relay.life_s(5) == 6);
  CHECK(relay.packet(session, LegId::callee, {*IpAddress::parse("203.0.113.9"), 9}, 666) ==
        Verdict::Kind::drop);
  CHECK(relay.life_s(20) == 5);
}

TEST_CASE("commands refresh, and S ttl replaces the time-out from then on") {
  Relay relay(limits(10, 10));
  Session& session = relay.complete("cid");
  CHECK(relay.life_s(8) == 9);
  REQUIRE(relay.lookup("cid"));
  CHECK(relay.life_s(8) == 9);
  relay.sessions.set_ttl(session, LegId::caller, seconds(3));
  CHECK(relay.sessions.remaining_ttl(session) == seconds(3));
  CHECK(relay.life_s(20) == 3);

  relay.sessions.set_ttl(relay.complete("long"), LegId::callee, seconds(300));
  CHECK(relay.life_s(299) == 300);
  CHECK(relay.life_s(2) == 1);
}

TEST_CASE("the time-out callback sees the session while it still is there") {
  Relay relay(limits(2, 2));
  std::vector<std::string> seen;
  relay.sessions.on_timeout([&](const Session& session) {
    seen.push_back(session.call_id);
    CHECK(relay.plane.installed().count(session.flows.get()) == 1);
  });
  relay.complete("one");
  relay.complete("two");
  relay.sessions.remove("two", "ft", std::nullopt, false);
  CHECK(relay.life_s(5) == 2);
  CHECK(seen == std::vector<std::string>{"one"});
  CHECK(relay.sessions.ports().taken() == 0);
}

TEST_CASE("sockets and flows outlive the session until the plane has let go") {
  Relay relay;
  relay.plane.hold_tickets();
  relay.complete("cid");
  CHECK(relay.sessions.ports().taken() == 2);
  CHECK(relay.sessions.remove("cid", "ft", std::nullopt, false) == 1);
  CHECK(relay.sessions.active() == 0);
  CHECK(relay.plane.installed().empty());
  CHECK(relay.sessions.ports().taken() == 2);
  relay.sessions.expire();
  CHECK(relay.sessions.ports().taken() == 2);
  relay.plane.settle_at_once();
  relay.sessions.expire();
  CHECK(relay.sessions.ports().taken() == 0);
  CHECK(relay.sessions.unsettled() == 0);
}

TEST_CASE("a replaced port pair stays open until the plane has let go") {
  Relay relay;
  relay.complete("cid");
  relay.plane.hold_tickets();
  MediaRequest request;
  request.call_id = "cid";
  request.from_tag = "ft";
  request.new_port = true;
  const auto answer = relay.sessions.update(request);
  REQUIRE(answer);
  CHECK(answer->local.port == 30004);
  CHECK(relay.sessions.ports().taken() == 3);
  relay.plane.settle_at_once();
  relay.sessions.expire();
  CHECK(relay.sessions.ports().taken() == 2);
}

TEST_CASE("without ports, what is only waiting to be closed is waited for") {
  Relay relay(limits(60, 60), settings(30003));
  relay.complete("cid");
  CHECK(relay.update("full").error().why == Refusal::no_ports_for_session);
  relay.plane.hold_tickets();
  relay.sessions.remove("cid", "ft", std::nullopt, false);
  CHECK(relay.update("too early").error().why == Refusal::no_ports_for_session);
  CHECK(relay.sessions.unsettled() == 1);
  relay.plane.settle_at_once();
  CHECK(relay.update("in time"));
  CHECK(relay.update("second"));
  CHECK(relay.lookup("second").error().why == Refusal::no_ports_for_leg);
}

TEST_CASE("a plane that is to be waited for is uncorked first") {
  Relay relay(limits(60, 60), settings(30003));
  relay.complete("cid");
  relay.plane.hold_tickets();
  relay.plane.cork();
  relay.sessions.remove("cid", "ft", std::nullopt, false);
  CHECK(relay.plane.corked);
  relay.plane.before_settled = [&] {
    if (!relay.plane.corked) relay.plane.settle_at_once();
  };
  CHECK(relay.update("next"));
}

TEST_CASE("ends that the plane is late to let go of are caught up with a few at a time") {
  Relay relay;
  relay.plane.hold_tickets();
  constexpr size_t kLate = 200;
  for (size_t i = 0; i < kLate; ++i) {
    relay.complete(std::to_string(i));
    relay.sessions.remove(std::to_string(i), "ft", std::nullopt, false);
  }
  CHECK(relay.sessions.unsettled() == kLate);
  relay.plane.settle_at_once();
  size_t ends = 0;
  for (size_t left = kLate; left > 1; ++ends) {
    relay.complete("more");
    relay.sessions.remove("more", "ft", std::nullopt, false);
    const size_t now_left = relay.sessions.unsettled();
    CHECK(left - now_left <= 8);
    left = now_left;
  }
  CHECK(ends < kLate);
  relay.sessions.expire();
  CHECK(relay.sessions.ports().taken() == 0);
}

TEST_CASE("sessions kept for a late fork branch give way when ports run out") {
  Relay relay(limits(60, 60), settings(30003));
  relay.complete("cid");
  CHECK(relay.sessions.remove("cid", "ft", "tt", false) == 1);
  CHECK(relay.sessions.active() == 0);
  CHECK(relay.sessions.ports().taken() == 2);
  CHECK(relay.update("next"));
  CHECK(relay.sessions.table().size() == 1);
}

TEST_CASE("so they do when descriptors run out") {
  Relay relay;
  relay.complete("kept");
  relay.complete("rejected");
  relay.sockets.out_of_descriptors = [&] { return relay.sessions.ports().taken() >= 4; };
  CHECK(relay.update("too much").error().why == Refusal::no_ports_for_session);
  CHECK(relay.update("too much").error().message == "too many files");
  relay.sessions.remove("rejected", "ft", "tt", false);
  CHECK(relay.update("next"));
  CHECK(relay.sessions.active() == 2);
}

TEST_CASE("what a plane can do without is asked for before a lingering session goes") {
  Relay relay;
  relay.complete("rejected");
  relay.complete("kept");
  relay.sessions.remove("rejected", "ft", "tt", false);
  int spare = 2;
  relay.sockets.out_of_descriptors = [&] { return spare > 0; };
  relay.plane.on_spare_descriptors = [&] { return spare-- > 0; };
  CHECK(relay.update("next"));
  CHECK(spare == 0);
  CHECK(relay.sessions.table().size() == 3);
}

TEST_CASE("a plane spares no descriptors for want of ports") {
  Relay relay(limits(60, 60), settings(30003));
  relay.complete("cid");
  relay.plane.on_spare_descriptors = [] {
    FAIL_CHECK("asked");
    return false;
  };
  CHECK(relay.update("next").error().why == Refusal::no_ports_for_session);
}

TEST_CASE("a slow shutdown refuses new sessions and ends with the last one") {
  Relay relay;
  relay.complete("cid");
  relay.sessions.start_draining();
  CHECK_FALSE(relay.sessions.drained());
  CHECK(relay.update("new").error().why == Refusal::draining);
  CHECK(relay.update("cid"));
  relay.sessions.remove("cid", "ft", "tt", false);
  CHECK(relay.sessions.drained());
}

TEST_CASE("overload refuses new sessions until the load is well below the bound") {
  OverloadGuard guard({true, 80, 0});
  Instant now = from_ns(1);
  Duration used{0};
  const auto second_at = [&](int percent) {
    now += seconds(1);
    used += std::chrono::milliseconds(10 * percent) * 2;  // two CPUs
    guard.sample(used, 2, now);
    return guard.refuses(1);
  };
  CHECK_FALSE(second_at(99));  // the first sample only sets the start
  CHECK_FALSE(second_at(79));
  CHECK(second_at(81));
  CHECK(second_at(75));
  CHECK_FALSE(second_at(70));
  CHECK_FALSE(second_at(75));

  guard.set({false, 80, 0});
  CHECK_FALSE(second_at(99));
  guard.set({false, 80, 10});
  CHECK_FALSE(guard.refuses(9));
  CHECK(guard.refuses(10));
}

TEST_CASE("the bound on sessions holds for new ones only") {
  SessionLimits bounded = limits(60, 60);
  bounded.overload.sessions_max = 1;
  Relay relay(bounded);
  CHECK(relay.update("one"));
  CHECK(relay.update("two").error().why == Refusal::overloaded);
  CHECK(relay.lookup("one"));
  relay.sessions.remove_all();
  CHECK(relay.update("two"));
}

TEST_CASE("what ended sessions had seen is added up") {
  Relay relay;
  relay.complete("silent");
  Session& one_way = relay.complete("one way");
  Session& both = relay.complete("both");
  REQUIRE(relay.update("incomplete"));
  relay.packet(one_way, LegId::callee, kCallee);
  for (int i = 0; i < 3; ++i) {
    relay.packet(both, LegId::callee, kCallee);
    relay.packet(both, LegId::caller, kCaller);
  }
  relay.clock.advance(seconds(5));
  relay.sessions.remove_all();
  const EndedTotals& ended = relay.sessions.ended();
  CHECK(ended.without_rtp == 1);
  CHECK(ended.one_way_rtp == 1);
  CHECK(ended.without_rtcp == 3);
  CHECK(ended.received == 7);
  CHECK(relay.sessions.counters().created == 4);
  CHECK(relay.sessions.counters().destroyed == 4);
  CHECK(relay.sessions.counters().completed == 3);
  CHECK(relay.sessions.counters().total_duration == seconds(20));
  CHECK(relay.sessions.ports().taken() == 0);
}

TEST_CASE("ten thousand busy calls cost a look a time-out each, and all end") {
  SessionSettings wide = settings();
  wide.ports.min = 10000;
  Relay relay(limits(60, 60), wide);
  for (int i = 0; i < 10000; ++i) relay.complete("cid" + std::to_string(i));
  CHECK(relay.sessions.active() == 10000);
  CHECK(relay.life_s(59) == 60);
  CHECK(relay.life_s(5) == 1);
  CHECK(relay.sessions.counters().timed_out == 10000);
  CHECK(relay.sessions.ports().taken() == 0);
}

}  // namespace relay
