// One call on two planes: its latches, its figures and its life are one.
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "relay/session/session_manager.h"
#include "tests/support/fake_sockets.h"
#include "tests/support/offload_fixture.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

const Endpoint kStranger = endpoint("203.0.113.66", 6666);

uint64_t accounted(const PlaneCounters& counters) {
  return counters.forwarded + counters.punted + counters.consumed + counters.dropped();
}

uint64_t accounted(const FlowFigures& figures) {
  return figures.forwarded + figures.punted + figures.consumed + figures.dropped();
}

// A session manager on both planes.
struct Relay {
  Relay() : sessions(settings(), limits(), sockets, planes.offloader, planes.clock) {}

  static SessionSettings settings() {
    SessionSettings result;
    result.local_addresses = {{"", *IpAddress::parse("192.0.2.1"), ""}};
    result.ports = {30000, 65000, true, 184, 0};
    return result;
  }
  static SessionLimits limits() {
    SessionLimits result;
    result.ttl = {10s, 10s, false};
    return result;
  }
  Session& complete() {
    MediaRequest request;
    request.call_id = "cid";
    request.from_tag = "ft";
    request.media = parties[index(LegId::caller)].at;
    REQUIRE(sessions.update(request));
    request.to_tag = "tt";
    request.media = parties[index(LegId::callee)].at;
    const auto answer = sessions.lookup(request);
    REQUIRE(answer);
    return *answer->session;
  }
  Way send(Session& session, LegId leg) {
    Talker& talker = parties[index(leg)];
    const auto bytes = rtp_packet(++talker.sequence, talker.ssrc);
    const Endpoint& local = session.leg_spec(leg).local;
    return planes.send_bytes(*session.flows, local, leg, talker.at, bytes).way;
  }
  void pass_s(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      planes.pass(1s);
      sessions.expire();
    }
  }

  OffloadFixture planes;
  FakeSockets sockets;
  SessionManager sessions;
  std::array<Talker, 2> parties{Talker{endpoint("203.0.113.1", 5000), 1, 0},
                                Talker{endpoint("198.51.100.1", 4000), 2, 0}};
};

}  // namespace

TEST_CASE("a stream's analysis goes into the kernel and back with it") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  RtpAnalyser reference;  // as though it had never left the slow path
  const auto talk = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      Talker& caller = call->caller();
      if (i % 10 == 7) ++caller.sequence;  // lost on its way to us
      const auto bytes = rtp_packet(++caller.sequence, caller.ssrc);
      const int copies = i % 25 == 3 ? 2 : 1;
      for (int copy = 0; copy < copies; ++copy) {
        reference.on_packet(bytes, relay.clock.now());
        relay.send_bytes(*call, LegId::caller, caller.at, bytes);
      }
      relay.send(*call, LegId::callee, call->callee());
      relay.pass(20ms);
    }
  };
  const auto check = [&](int trips) {
    CAPTURE(trips);
    const AnalyserTotals expected = reference.totals();
    const AnalyserTotals totals = figures_of(call->group, LegId::caller, Component::rtp).analysis;
    CHECK(totals.sent == expected.sent);
    CHECK(totals.received == expected.received);
    CHECK(totals.duplicates == expected.duplicates);
    CHECK(totals.ssrc_changes == 1);
    CHECK(totals.ssrc_last == call->caller().ssrc);
    CHECK(totals.payload_type_last == 0);
    CHECK(totals.longest_gap == expected.longest_gap);
    CHECK(totals.jitter_average == doctest::Approx(expected.jitter_average).epsilon(0.05));
  };
  for (int trips = 1; trips <= 3; ++trips) {
    talk(200);
    REQUIRE(relay.both_in_kernel(*call));
    check(trips);
    call->spec.complete = false;
    relay.update(*call);
    check(trips);
    CHECK(relay.kernel.installed() == 0);
    call->spec.complete = true;
    relay.update(*call);
  }
  CHECK(reference.totals().duplicates == 24);
  CHECK(reference.totals().lost() == 60);
  relay.offloader.remove(call->group);
  check(3);
}

TEST_CASE("figures and counters are sums over both planes, and balance") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  relay.kernel.strangers_punted_max = 3;
  uint64_t sent = 0, strangers = 0;
  const auto talk = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      for (const LegId leg : kLegs) relay.send(*call, leg, call->parties[index(leg)]);
      const std::array<std::byte, 20> stun{std::byte{0}, std::byte{1}};
      relay.send_bytes(*call, LegId::caller, kStranger, stun);
      sent += 2;
      ++strangers;
      relay.pass(20ms);
    }
  };
  const auto check = [&](const std::string& when) {
    CAPTURE(when);
    const PlaneCounters counters = relay.offloader.counters();
    CHECK(counters.received == accounted(counters));
    CHECK(counters.received == sent + strangers);
    CHECK(counters.dropped() >= strangers);
    uint64_t received = 0, forwarded = 0;
    for (const LegId leg : kLegs) {
      const FlowFigures figures = figures_of(call->group, leg, Component::rtp);
      CHECK(figures.received == accounted(figures));
      received += figures.received;
      forwarded += figures.forwarded;
    }
    CHECK(received == counters.received);
    CHECK(forwarded == counters.forwarded);
  };
  talk(3);
  check("before it goes down");
  talk(100);
  REQUIRE(relay.both_in_kernel(*call));
  check("in the kernel");
  const FlowFigures figures = figures_of(call->group, LegId::caller, Component::rtp);
  CHECK(figures.drops[static_cast<size_t>(DropReason::source_refused)] == 103);
  CHECK(relay.slow.counters().received < 40);

  call->spec.complete = false;
  relay.update(*call);
  check("just back");
  talk(10);
  check("while incomplete");
  call->spec.complete = true;
  relay.update(*call);
  talk(100);
  REQUIRE(relay.both_in_kernel(*call));
  check("in the kernel once more");
  const Instant last = relay.clock.now() - 20ms;
  CHECK(last_accepted(call->group, LegId::caller, Component::rtp) == last);
  CHECK(figures_of(call->group, LegId::caller, Component::rtp).last_accepted == last);
  relay.offloader.remove(call->group);
  check("removed");
  CHECK(last_accepted(call->group, LegId::caller, Component::rtp) == last);
  CHECK(last_accepted(call->group, LegId::caller, Component::rtcp) == Instant{});
}

TEST_CASE("packets only the kernel sees keep a session alive") {
  Relay relay;
  Session& session = relay.complete();
  for (int i = 0; i < 10; ++i) {
    relay.send(session, LegId::callee);
    relay.send(session, LegId::caller);
    relay.planes.pass(20ms);
  }
  REQUIRE(relay.planes.kernel.installed() == 2);
  const uint64_t on_slow_path = relay.planes.slow.counters().received;
  for (int i = 0; i < 30; ++i) {
    CHECK(relay.send(session, LegId::caller) == Way::kernel);
    relay.pass_s(1);
  }
  CHECK(relay.planes.slow.counters().received == on_slow_path);
  REQUIRE(relay.sessions.active() == 1);
  CHECK(relay.sessions.remaining_ttl(session) == 9s);
  relay.pass_s(8);
  CHECK(relay.sessions.active() == 1);
  relay.pass_s(2);
  CHECK(relay.sessions.active() == 0);
  CHECK(relay.sessions.counters().timed_out == 1);
  CHECK(relay.planes.kernel.installed() == 0);
  CHECK(relay.sessions.ports().taken() == 0);
}

TEST_CASE("strangers do not take a latch whose holder only the kernel hears") {
  struct Case {
    std::string description;
    bool knows_stream;  // the stranger's packets continue the holder's
    bool comes_back;    // the flow has just left the kernel
    bool goes_down_again;
  };
  const std::vector<Case> cases = {
      {"a run of its own", false, false, false},
      {"the holder's SSRC, a little ahead", true, false, false},
      {"a run, when the flow is back on the slow path", false, true, false},
      {"the holder's SSRC, when the flow is back", true, true, false},
      {"the holder's SSRC, when it is down again and nothing has come", true, true, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OffloadFixture relay;
    const auto call = relay.offloaded_call();
    relay.talk(*call, 5s);
    REQUIRE(relay.both_in_kernel(*call));
    if (c.comes_back) {
      relay.send(*call, LegId::caller, call->caller());
      call->spec.complete = false;
      relay.update(*call);
      CHECK(relay.kernel.installed() == 0);
      call->spec.complete = true;
      relay.update(*call);
    }
    if (c.goes_down_again) {
      relay.pass(80ms);
      REQUIRE(relay.both_in_kernel(*call));
    }
    Talker stranger{kStranger, 0xBAD, 9000};
    for (int i = 0; i < (c.comes_back ? 1 : 150); ++i) {
      if (c.knows_stream) stranger = {kStranger, call->caller().ssrc, call->caller().sequence};
      CHECK(relay.send(*call, LegId::caller, stranger).way == Way::dropped);
      CHECK(relay.send(*call, LegId::callee, call->callee()).destination == call->caller().at);
      if (!c.comes_back) relay.talk(*call, LegId::caller, 20ms);
    }
    const LatchState latch = call->group.latch_of(LegId::caller);
    CHECK(latch.holder == call->caller().at);
    relay.talk(*call, 200ms);
    CHECK(relay.kernel.spec_at(call->local(LegId::caller))->source == call->caller().at);
    relay.offloader.remove(call->group);
  }
}

TEST_CASE("a NAT that rebinds is followed by both flows within a tick") {
  OffloadFixture relay;
  const auto call = relay.offloaded_call();
  relay.talk(*call, 5s);
  call->caller().at.port = 6789;
  // Heard 20 ms ago: not silent so far.
  CHECK(relay.send(*call, LegId::caller, call->caller()).way == Way::dropped);
  relay.talk(*call, LegId::callee, 60ms);
  CHECK(relay.send(*call, LegId::caller, call->caller()).way == Way::dropped);
  relay.talk(*call, LegId::callee, 20ms);
  CHECK(relay.send(*call, LegId::caller, call->caller()).way == Way::slow_path);
  relay.pass(20ms);
  CHECK(relay.kernel.updates == 2);
  CHECK(relay.kernel.installs == 2);
  CHECK(relay.send(*call, LegId::caller, call->caller()).way == Way::kernel);
  const Journey journey = relay.send(*call, LegId::callee, call->callee());
  CHECK(journey.way == Way::kernel);
  CHECK(journey.destination == call->caller().at);
  relay.offloader.remove(call->group);
}

TEST_CASE("a latch that moves while its flow goes down is noticed soon after") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  relay.talk(*call, 20ms);
  relay.talk(*call, LegId::callee, 120ms);
  REQUIRE(relay.both_in_kernel(*call));
  call->spec.complete = false;
  relay.update(*call);
  call->spec.complete = true;
  relay.update(*call);
  relay.pass(20ms);
  call->caller().at.port = 6789;
  relay.kernel.on_call = [&](const char*) {
    relay.kernel.on_call = nullptr;
    CHECK(relay.send(*call, LegId::caller, call->caller()).way == Way::slow_path);
  };
  relay.pass(20ms);
  REQUIRE(relay.both_in_kernel(*call));
  relay.pass(60ms);
  CHECK(relay.kernel.spec_at(call->local(LegId::caller))->source == call->caller().at);
  CHECK(relay.kernel.spec_at(call->local(LegId::callee))->destination == call->caller().at);
  relay.offloader.remove(call->group);
}

TEST_CASE("ten thousand offloaded calls cost a tick nothing until one is due") {
  OffloadFixture relay;
  std::vector<std::unique_ptr<TestCall>> calls;
  for (uint16_t n = 0; n < 10000; ++n) {
    calls.push_back(relay.make_call(n));
    TestCall& call = *calls.back();
    relay.install(call);
    for (const LegId leg : kLegs) relay.send(call, leg, call.parties[index(leg)]);
  }
  relay.pass(200ms);
  REQUIRE(relay.offloader.flows_in_kernel() == 20000);
  const auto asked_by_tick = [&] {
    relay.clock.advance(20ms);
    const size_t before = relay.clock.asked;
    relay.offloader.tick();
    return relay.clock.asked - before;
  };
  size_t idle = 0, asked = 0;
  for (int i = 0; i < 100; ++i) {
    const size_t now = asked_by_tick();
    idle += now == 1;
    asked += now;
  }
  CHECK(idle >= 97);       // all were installed at once; the looks become rare by themselves
  CHECK(asked < 100'000);  // of the clock, a few times a look

  // One rebinding NAT is one call's affair.
  TestCall& call = *calls[5000];
  call.caller().at.port = 9;
  CHECK(relay.send(call, LegId::caller, call.caller()).way == Way::slow_path);
  CHECK(asked_by_tick() < 10);
  CHECK(relay.send(call, LegId::caller, call.caller()).way == Way::kernel);
  for (const auto& each : calls) relay.offloader.remove(each->group);
  CHECK(relay.offloader.flows_in_kernel() == 0);
  CHECK(relay.kernel.installed() == 0);
}

}  // namespace relay
