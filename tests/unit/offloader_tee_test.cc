// What is recorded, copied, listened to, re-packetised or spoken into, and the kernel.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/attachments.h"
#include "tests/support/offload_fixture.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using testing::CountingTap;
using testing::PacketSource;
using testing::RepeatingTransform;

LegSpec& leg_of(TestCall& call, LegId leg) {
  return call.spec.legs[index(leg)];
}

class RtcpTap final : public Tap {
 public:
  TapAnswer offer(const TappedPacket&) override { return TapAnswer::relay; }
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtcp; }
  const char* name() const override { return "RTCP"; }
};

}  // namespace

TEST_CASE("what is attached decides whether a flow is teed or stays on the slow path") {
  struct Case {
    std::string description;
    std::function<void(OffloadFixture&, TestCall&)> attach;
    std::string from_callee, from_caller;  // "kernel", "teed", or the reason
  };
  CountingTap listener, keeper(TapAnswer::consume);
  RtcpTap rtcp_tap;
  RepeatingTransform transform(1);
  PacketSource source(1000, 20ms);
  const auto caller_leg = [](TestCall& call) -> LegSpec& { return leg_of(call, LegId::caller); };
  const std::vector<Case> cases = {
      {"a tap", [&](OffloadFixture&, TestCall& call) { caller_leg(call).taps = {&listener}; },
       "kernel", "teed"},
      {"a tap, and sockets that cannot tell copies",
       [&](OffloadFixture& relay, TestCall& call) {
         relay.slow.can_tell_copies = false;
         caller_leg(call).taps = {&listener};
       },
       "kernel", "recorded, copied or listened to, and its socket cannot tell copies (Linux 5.19)"},
      {"a tap for RTCP alone",
       [&](OffloadFixture&, TestCall& call) { caller_leg(call).taps = {&rtcp_tap}; }, "kernel",
       "kernel"},
      {"a tap on each leg",
       [&](OffloadFixture&, TestCall& call) {
         for (LegSpec& leg : call.spec.legs) leg.taps = {&rtcp_tap, &listener};
       },
       "teed", "teed"},
      {"a tap that may keep packets",
       [&](OffloadFixture&, TestCall& call) {
         caller_leg(call).taps = {&listener, &keeper};
       },
       "kernel", "what listens to it may keep packets back"},
      {"a transform",
       [&](OffloadFixture&, TestCall& call) { caller_leg(call).transform = &transform; }, "kernel",
       "it is re-packetised"},
      {"a source speaks to the caller",
       [&](OffloadFixture&, TestCall& call) { caller_leg(call).source = &source; },
       "a prompt or a voice speaks to the receiver", "kernel"},
      {"a tap, and the parties are on this host",
       [&](OffloadFixture& relay, TestCall& call) {
         relay.kernel.tees_are_local = true;
         caller_leg(call).taps = {&listener};
       },
       "kernel", "recorded, copied or listened to, and the party is on this host"},
  };
  for (const Case& c : cases) {
    for (const bool from_the_start : {true, false}) {
      CAPTURE(c.description);
      CAPTURE(from_the_start);
      OffloadFixture relay;
      const auto call = relay.make_call();
      if (from_the_start) c.attach(relay, *call);
      relay.install(*call);
      relay.talk(*call, 300ms);
      if (!from_the_start) {
        REQUIRE(relay.both_in_kernel(*call));
        c.attach(relay, *call);
        relay.update(*call);
      }
      relay.talk(*call, 700ms);
      for (const LegId leg : kLegs) {
        const std::string expected = leg == LegId::callee ? c.from_callee : c.from_caller;
        CHECK(relay.path(*call, leg) == (expected == "teed" ? "kernel" : expected));
        const Journey journey = relay.send(*call, leg, call->parties[index(leg)]);
        CHECK(journey.teed == (expected == "teed"));
      }
      const FlowFigures figures = figures_of(call->group, LegId::caller, Component::rtp);
      CHECK(figures.received == figures.forwarded);
      relay.offloader.remove(call->group);
      CHECK(relay.kernel.installed() == 0);
    }
  }
}

TEST_CASE("a flow is teed no earlier than the slow path can tell copies") {
  OffloadFixture relay;
  CountingTap tap;
  const auto call = relay.offloaded_call();
  relay.slow.hold_tickets();
  leg_of(*call, LegId::caller).taps = {&tap};
  relay.update(*call);
  relay.talk(*call, 200ms);
  CHECK_FALSE(relay.send(*call, LegId::caller, call->caller()).teed);
  CHECK(relay.both_in_kernel(*call));
  relay.slow.settle_at_once();
  relay.pass(40ms);
  CHECK(relay.send(*call, LegId::caller, call->caller()).teed);

  leg_of(*call, LegId::caller).taps = {};
  relay.update(*call);
  relay.pass(40ms);
  const Journey journey = relay.send(*call, LegId::caller, call->caller());
  CHECK(journey.way == Way::kernel);
  CHECK_FALSE(journey.teed);
  CHECK(relay.kernel.removes == 0);
  relay.offloader.remove(call->group);
}

TEST_CASE("what changes packets brings a flow back before the slow path hears of it") {
  RepeatingTransform transform(1);
  PacketSource source(1000, 20ms);
  CountingTap keeper(TapAnswer::consume);
  const std::vector<std::function<void(TestCall&)>> changes = {
      [&](TestCall& call) { leg_of(call, LegId::caller).transform = &transform; },
      [&](TestCall& call) { leg_of(call, LegId::caller).source = &source; },
      [&](TestCall& call) { leg_of(call, LegId::caller).taps = {&keeper}; },
  };
  for (const auto& change : changes) {
    OffloadFixture relay;
    const auto call = relay.offloaded_call();
    std::vector<std::string> calls;
    relay.kernel.on_call = relay.slow.on_call = [&](const char* name) { calls.emplace_back(name); };
    change(*call);
    relay.update(*call);
    CHECK(calls == std::vector<std::string>{"kernel remove", "resume_stream", "kernel remove",
                                            "resume_stream", "update"});
    relay.kernel.on_call = relay.slow.on_call = nullptr;
    relay.offloader.remove(call->group);
  }
}

TEST_CASE("a flow whose sequence numbers a prompt has shifted stays on the slow path") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  call->group.stats_of(LegId::caller, Component::rtp).shifted.store(true);
  relay.talk(*call, 300ms);
  CHECK(relay.path(*call, LegId::callee) ==
        "its sequence numbers are shifted, after a prompt or re-packetising");
  CHECK(relay.path(*call, LegId::caller) == "kernel");
  relay.offloader.remove(call->group);
}

TEST_CASE("RTCP is teed where somebody wants it") {
  OffloadFixture relay;
  RtcpTap tap;
  const auto call = relay.make_call();
  leg_of(*call, LegId::caller).taps = {&tap};
  relay.install(*call);
  for (const bool muxed : {false, true}) {
    for (int i = 0; i < 3; ++i) {
      relay.send_rtcp(*call, LegId::caller, muxed);
      relay.talk(*call, 100ms);
    }
    const Journey journey = relay.send_rtcp(*call, LegId::caller, muxed);
    CHECK(journey.way == Way::kernel);
    CHECK(journey.teed);
  }
  relay.offloader.remove(call->group);
}

}  // namespace relay
