// RTCP in the kernel: on its own port and on RTP's, and what brings it back.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/offload_fixture.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

// RTCP every 100 ms, RTP as ever.
void converse(OffloadFixture& relay, TestCall& call, Duration time, bool callee_muxes,
              bool caller_muxes) {
  for (; time > Duration{0}; time -= 100ms) {
    relay.send_rtcp(call, LegId::callee, callee_muxes);
    relay.send_rtcp(call, LegId::caller, caller_muxes);
    relay.talk(call, 100ms);
  }
}

}  // namespace

TEST_CASE(
    "RTCP goes into the kernel by the way its sender has shown, and leaves by its receiver's") {
  struct Case {
    std::string description;
    bool callee_muxes, caller_muxes;
    Endpoint to_callee, to_caller;
  };
  const Endpoint callee = endpoint("203.0.113.1", 20000), caller = endpoint("198.51.100.1", 20000);
  const std::vector<Case> cases = {
      {"both apart", false, false, *callee.with_port_offset(1), *caller.with_port_offset(1)},
      {"both muxed", true, true, callee, caller},
      {"the callee muxes", true, false, callee, *caller.with_port_offset(1)},
      {"the caller muxes", false, true, *callee.with_port_offset(1), caller},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OffloadFixture relay;
    const auto call = relay.make_call();
    relay.install(*call);
    converse(relay, *call, 400ms, c.callee_muxes, c.caller_muxes);
    CHECK(relay.both_in_kernel(*call));
    const auto is_apart = [&](LegId leg) {
      return relay.path(*call, leg, Component::rtcp) == "kernel";
    };
    CHECK(is_apart(LegId::callee) == !c.callee_muxes);
    CHECK(is_apart(LegId::caller) == !c.caller_muxes);
    const uint64_t on_slow_path = relay.slow.counters().received;
    for (int i = 0; i < 3; ++i) {
      const Journey from_callee = relay.send_rtcp(*call, LegId::callee, c.callee_muxes);
      const Journey from_caller = relay.send_rtcp(*call, LegId::caller, c.caller_muxes);
      CHECK(from_callee.way == Way::kernel);
      CHECK(from_caller.way == Way::kernel);
      CHECK(from_callee.destination == c.to_caller);
      CHECK(from_caller.destination == c.to_callee);
      relay.talk(*call, 1s);
    }
    CHECK(relay.slow.counters().received == on_slow_path);
    // Counted where it arrived, as the slow path does.
    const Component counted = c.caller_muxes ? Component::rtp : Component::rtcp;
    const FlowFigures figures = figures_of(call->group, LegId::caller, counted);
    CHECK(figures.received == figures.forwarded);
    CHECK(last_accepted(call->group, LegId::caller, counted) >= relay.clock.now() - 1s);
    if (!c.caller_muxes) CHECK(figures.received == 7);
    relay.offloader.remove(call->group);
    CHECK(relay.kernel.installed() == 0);
    CHECK(figures_of(call->group, LegId::caller, counted).received == figures.received);
  }
}

TEST_CASE("a party that begins to mux is followed") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  converse(relay, *call, 400ms, false, false);
  REQUIRE(relay.path(*call, LegId::caller, Component::rtcp) == "kernel");
  // Punted, so that the slow path learns of it.
  CHECK(relay.send_rtcp(*call, LegId::caller, true).way == Way::slow_path);
  relay.talk(*call, 100ms);
  CHECK(relay.path(*call, LegId::caller, Component::rtcp) ==
        "no RTCP of its own port was heard last");
  CHECK(relay.send_rtcp(*call, LegId::caller, true).way == Way::kernel);
  CHECK(relay.send_rtcp(*call, LegId::callee).destination == call->caller().at);
  // And back.
  CHECK(relay.send_rtcp(*call, LegId::caller).way == Way::slow_path);
  relay.talk(*call, 100ms);
  CHECK(relay.send_rtcp(*call, LegId::caller).way == Way::kernel);
  CHECK_FALSE(relay.kernel.spec_at(call->local(LegId::caller))->rtcp);
  relay.offloader.remove(call->group);
}

TEST_CASE("RTCP from another port of the party is followed, and strangers are not") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  converse(relay, *call, 400ms, false, false);
  const auto bytes = testing::rtcp_packet(7);
  const auto send_from = [&](const Endpoint& source) {
    return relay.send_bytes(call->group, call->local_rtcp(LegId::caller), LegId::caller, source,
                            bytes, Component::rtcp);
  };
  CHECK(send_from(endpoint("192.0.2.66", 6000)).way == Way::dropped);
  const Endpoint rebound = endpoint("198.51.100.1", 6001);
  CHECK(send_from(rebound).way == Way::slow_path);
  relay.pass(40ms);
  CHECK(send_from(rebound).way == Way::kernel);
  CHECK(relay.send_rtcp(*call, LegId::callee).destination == rebound);
  relay.offloader.remove(call->group);
}

TEST_CASE("RTCP follows RTP to a new endpoint, and comes back with it") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  converse(relay, *call, 400ms, false, false);
  const Endpoint elsewhere = endpoint("203.0.113.77", 7700);
  relay.signal(*call, LegId::caller, elsewhere);
  CHECK(relay.kernel.installed() == 0);
  call->caller() = {elsewhere, 0xE15E, 500};
  relay.talk(*call, 200ms);
  CHECK(relay.both_in_kernel(*call));
  // No RTCP has come from there, so what the callee sends goes to the port above RTP's.
  CHECK(relay.path(*call, LegId::caller, Component::rtcp) == "the sender of RTCP is not latched");
  const Journey journey = relay.send_rtcp(*call, LegId::callee);
  CHECK(journey.way == Way::kernel);
  CHECK(journey.destination == *elsewhere.with_port_offset(1));
  converse(relay, *call, 200ms, false, false);
  CHECK(relay.path(*call, LegId::caller, Component::rtcp) == "kernel");
  relay.offloader.remove(call->group);
}

TEST_CASE("RTCP alone keeps a session alive while the kernel relays it") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  converse(relay, *call, 400ms, false, false);
  relay.pass(30s);
  CHECK(relay.send_rtcp(*call, LegId::caller).way == Way::kernel);
  CHECK(last_accepted(call->group, LegId::caller, Component::rtcp) == relay.clock.now());
  CHECK(last_accepted(call->group, LegId::caller, Component::rtp) <= relay.clock.now() - 30s);
  relay.offloader.remove(call->group);
}

}  // namespace relay
