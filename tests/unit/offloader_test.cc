// Which flows go into the kernel, how, and what brings them back.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <vector>

#include "relay/base/unique_fd.h"
#include "tests/support/offload_fixture.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

const Endpoint kElsewhere = endpoint("203.0.113.77", 7700);

}  // namespace

TEST_CASE("the slow path is corked with the offloader") {
  OffloadFixture fixture;
  fixture.offloader.cork();
  CHECK(fixture.slow.corked);
  fixture.offloader.uncork();
  CHECK_FALSE(fixture.slow.corked);
}

TEST_CASE("a flow goes into the kernel when nothing but forwarding is left to do") {
  struct Case {
    std::string description;
    std::function<void(OffloadFixture&, FlowGroupSpec&)> arrange;
    bool callee_talks, caller_talks;
    std::string from_callee, from_caller;  // "kernel", or the reason
  };
  const auto nothing = [](OffloadFixture&, FlowGroupSpec&) {};
  const auto caller_leg = [](FlowGroupSpec& spec) -> LegSpec& {
    return spec.legs[index(LegId::caller)];
  };
  const std::vector<Case> cases = {
      {"both parties talk", nothing, true, true, "kernel", "kernel"},
      {"nobody does", nothing, false, false, "the sender is not latched",
       "the sender is not latched"},
      {"the callee only: nobody to relay to", nothing, true, false, "the receiver is not latched",
       "the sender is not latched"},
      {"the caller only", nothing, false, true, "the sender is not latched",
       "the receiver is not latched"},
      {"the second leg is still to come",
       [](OffloadFixture&, FlowGroupSpec& spec) { spec.complete = false; }, true, true,
       "the session is not complete", "the session is not complete"},
      {"a leg has no sockets",
       [&](OffloadFixture&, FlowGroupSpec& spec) {
         caller_leg(spec).sockets = {-1, -1};
       },
       true, true, "the session is not complete", "the session is not complete"},
      {"small packets leave twice",
       [](OffloadFixture&, FlowGroupSpec& spec) { spec.duplicate_small_packets = true; }, true,
       true, "small packets are sent twice (-2)", "small packets are sent twice (-2)"},
      {"an asymmetric sender, while media to it can go",
       [&](OffloadFixture&, FlowGroupSpec& spec) {
         caller_leg(spec).policy = LatchPolicy::asymmetric;
       },
       true, true, "kernel", "asymmetric: any port of the host may send"},
      {"the caller's leg is bound to the wildcard",
       [&](OffloadFixture&, FlowGroupSpec& spec) {
         caller_leg(spec).local.address = IpAddress::any(Family::ipv4);
       },
       true, true, "bound to the wildcard address (name addresses with -l)",
       "bound to the wildcard address (name addresses with -l)"},
      {"the caller is on IPv6",
       [&](OffloadFixture&, FlowGroupSpec& spec) {
         caller_leg(spec).local.address = *IpAddress::parse("2001:db8::1");
       },
       true, true, "bridges IPv4 and IPv6", "bridges IPv4 and IPv6"},
      {"compat latches are as good",
       [](OffloadFixture&, FlowGroupSpec& spec) {
         for (LegSpec& leg : spec.legs) leg.policy = LatchPolicy::compat;
       },
       true, true, "kernel", "kernel"},
      {"the kernel refuses",
       [](OffloadFixture& relay, FlowGroupSpec&) { relay.kernel.refuse_install = "no route"; },
       true, true, "the kernel cannot relay it (see the log)",
       "the kernel cannot relay it (see the log)"},
      {"there is no fast path",
       [](OffloadFixture& relay, FlowGroupSpec&) { relay.kernel.is_available = false; }, true, true,
       "fast path: not on this kernel", "fast path: not on this kernel"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OffloadFixture relay;
    const auto call = relay.make_call();
    c.arrange(relay, call->spec);
    relay.install(*call);
    for (int i = 0; i < 150; ++i) {
      if (c.callee_talks) relay.send(*call, LegId::callee, call->callee());
      if (c.caller_talks) relay.send(*call, LegId::caller, call->caller());
      relay.pass(20ms);
    }
    CHECK(relay.path(*call, LegId::callee) == c.from_callee);
    CHECK(relay.path(*call, LegId::caller) == c.from_caller);
    const size_t expected = (c.from_callee == "kernel") + (c.from_caller == "kernel");
    CHECK(relay.kernel.installed() == expected);
    CHECK(relay.offloader.flows_in_kernel() == expected);
    relay.offloader.remove(call->group);
    CHECK(relay.kernel.installed() == 0);
    CHECK(relay.offloader.flows_in_kernel() == 0);
    CHECK(relay.slow.installed().empty());
  }
}

TEST_CASE("the kernel is told where a flow comes from and how it leaves") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  const UniqueFd callee_socket(::socket(AF_INET, SOCK_DGRAM, 0));
  const UniqueFd caller_socket(::socket(AF_INET, SOCK_DGRAM, 0));
  const auto set_tos = [](const UniqueFd& socket, int tos) {
    REQUIRE(::setsockopt(socket.get(), IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
  };
  set_tos(callee_socket, 0xB8);
  set_tos(caller_socket, 0x60);
  call->spec.legs[index(LegId::callee)].sockets[0] = callee_socket.get();
  call->spec.legs[index(LegId::caller)].sockets[0] = caller_socket.get();
  call->caller().at.port = 6789;  // a NAT's choice
  relay.install(*call);
  relay.talk(*call, 200ms);

  const KernelFlowSpec* flow = relay.kernel.spec_at(call->local(LegId::caller));
  REQUIRE(flow != nullptr);
  CHECK(flow->component == Component::rtp);
  CHECK(flow->local == endpoint("192.0.2.1", 20002));
  CHECK(flow->source == endpoint("198.51.100.1", 6789));
  CHECK(flow->egress == endpoint("192.0.2.1", 20000));
  CHECK(flow->destination == endpoint("203.0.113.1", 20000));
  CHECK(flow->tos == 0xB8);
  CHECK_FALSE(flow->rtcp);
  CHECK_FALSE(flow->tee_to_socket);
  flow = relay.kernel.spec_at(call->local(LegId::callee));
  REQUIRE(flow != nullptr);
  CHECK(flow->source == endpoint("203.0.113.1", 20000));
  CHECK(flow->egress == endpoint("192.0.2.1", 20002));
  CHECK(flow->destination == endpoint("198.51.100.1", 6789));
  CHECK(flow->tos == 0x60);

  // `S tos=` sets it on the sockets, and says so.
  set_tos(callee_socket, 0x20);
  relay.update(*call);
  relay.pass(100ms);
  CHECK(relay.kernel.spec_at(call->local(LegId::caller))->tos == 0x20);
  CHECK(relay.kernel.installs == 2);
}

TEST_CASE("what a flow stands on brings it back before the slow path hears of a change") {
  struct Case {
    std::string description;
    std::function<void(OffloadFixture&, TestCall&)> change;
    std::vector<std::string> calls;  // in this order
  };
  const std::vector<std::string> back = {"kernel remove", "resume_stream", "kernel remove",
                                         "resume_stream"};
  const auto back_and = [&](const char* last) {
    auto calls = back;
    calls.emplace_back(last);
    return calls;
  };
  const auto leg_changed = [](const std::function<void(LegSpec&)>& change) {
    return [change](OffloadFixture& relay, TestCall& call) {
      change(call.spec.legs[index(LegId::caller)]);
      relay.update(call);
    };
  };
  const std::vector<Case> cases = {
      {"another endpoint is signalled",
       [](OffloadFixture& relay, TestCall& call) { relay.signal(call, LegId::caller, kElsewhere); },
       back_and("update")},
      {"new ports", leg_changed([](LegSpec& leg) {
         leg.local.port = 20100;
         leg.sockets = {7000000, 7000001};
       }),
       back_and("update")},
      {"a leg turns asymmetric",
       leg_changed([](LegSpec& leg) { leg.policy = LatchPolicy::asymmetric; }), back_and("update")},
      {"the session lingers",
       [](OffloadFixture& relay, TestCall& call) {
         call.spec.complete = false;
         relay.update(call);
       },
       back_and("update")},
      {"delete", [](OffloadFixture& relay, TestCall& call) { relay.offloader.remove(call.group); },
       back_and("remove")},
      {"a re-INVITE repeats everything",
       [](OffloadFixture& relay, TestCall& call) {
         relay.signal(call, LegId::caller, call.caller().at);
         relay.signal(call, LegId::callee, call.callee().at);
       },
       {"update", "update"}},
      {"a T.38 offer names no codecs",
       leg_changed([](LegSpec& leg) { leg.with_codecs = false; }),
       {"update"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OffloadFixture relay;
    const auto call = relay.offloaded_call();
    relay.talk(*call, 1s);
    REQUIRE(relay.both_in_kernel(*call));
    std::vector<std::string> calls;
    relay.kernel.on_call = relay.slow.on_call = [&](const char* name) { calls.emplace_back(name); };
    c.change(relay, *call);
    CHECK(calls == c.calls);
    relay.kernel.on_call = relay.slow.on_call = nullptr;
    if (c.calls.back() == "remove") continue;
    CHECK(relay.both_in_kernel(*call) == (c.calls.front() == "update"));
    relay.offloader.remove(call->group);
  }
}

TEST_CASE("a flow goes down again once the contest is settled") {
  OffloadFixture relay;
  const auto call = relay.offloaded_call();
  relay.signal(*call, LegId::caller, kElsewhere);
  // The party has not moved so far: the slow path serves it where it is.
  relay.talk(*call, 3s);
  CHECK(relay.path(*call, LegId::callee) == "the receiver is not latched");
  CHECK(relay.path(*call, LegId::caller) == "the sender is not latched");
  CHECK(relay.send(*call, LegId::callee, call->callee()).destination == call->caller().at);

  call->caller() = {kElsewhere, 0xE15E, 500};
  relay.talk(*call, 2100ms);
  CHECK(relay.both_in_kernel(*call));
  CHECK(relay.kernel.spec_at(call->local(LegId::caller))->source == kElsewhere);
  CHECK(relay.kernel.spec_at(call->local(LegId::callee))->destination == kElsewhere);
  const Journey journey = relay.send(*call, LegId::callee, call->callee());
  CHECK(journey.way == Way::kernel);
  CHECK(journey.destination == kElsewhere);
  relay.offloader.remove(call->group);
}

TEST_CASE("taken back by signalling that repeats itself in the end, it goes down at once") {
  OffloadFixture relay;
  const auto call = relay.offloaded_call();
  relay.signal(*call, LegId::caller, kElsewhere);
  relay.signal(*call, LegId::caller, call->caller().at);
  relay.talk(*call, 100ms);
  CHECK(relay.both_in_kernel(*call));
  relay.offloader.remove(call->group);
}

TEST_CASE("what the kernel refused is tried again a minute later") {
  OffloadFixture relay;
  relay.kernel.refuse_install = "no route to 203.0.113.1";
  const auto call = relay.offloaded_call();
  size_t attempts = 0;
  relay.kernel.on_call = [&](const char*) { ++attempts; };
  relay.kernel.refuse_install.clear();
  relay.talk(*call, 59s);
  CHECK(attempts == 0);
  CHECK(relay.path(*call, LegId::callee) == "the kernel cannot relay it (see the log)");
  relay.talk(*call, 4s);
  CHECK(relay.both_in_kernel(*call));
  relay.offloader.remove(call->group);
}

TEST_CASE("an update the kernel refuses brings the flow back") {
  OffloadFixture relay;
  const auto call = relay.offloaded_call();
  relay.kernel.refuse_update = relay.kernel.refuse_install = "no route";
  call->caller().at.port = 999;  // rebinding
  relay.pass(200ms);
  relay.talk(*call, 60ms);
  CHECK(relay.path(*call, LegId::callee) == "the kernel cannot relay it (see the log)");
  const Journey journey = relay.send(*call, LegId::callee, call->callee());
  CHECK(journey.way == Way::slow_path);
  CHECK(journey.destination == call->caller().at);
  relay.offloader.remove(call->group);
}

TEST_CASE("a flow the kernel never sees is taken back for a minute") {
  OffloadFixture relay;
  relay.kernel.is_bypassed = true;
  const auto call = relay.offloaded_call();
  REQUIRE(relay.both_in_kernel(*call));
  relay.talk(*call, 2100ms);
  CHECK(relay.path(*call, LegId::callee) == "the kernel made no progress with it");
  CHECK(relay.path(*call, LegId::caller) == "the kernel made no progress with it");
  CHECK(relay.kernel.installed() == 0);
  // Not a packet of the analysis is lost by it: the slow path saw them all.
  const FlowFigures figures = figures_of(call->group, LegId::caller, Component::rtp);
  CHECK(figures.analysis.received == figures.forwarded);
  CHECK(figures.analysis.lost() == 0);

  relay.kernel.is_bypassed = false;
  relay.talk(*call, 57s);
  CHECK(relay.kernel.installs == 2);
  relay.talk(*call, 5s);
  CHECK(relay.both_in_kernel(*call));
  CHECK(relay.kernel.installs == 4);
  relay.offloader.remove(call->group);
}

TEST_CASE("a silent call is not taken for one the kernel makes no progress with") {
  OffloadFixture relay;
  const auto call = relay.offloaded_call();
  relay.pass(30s);
  CHECK(relay.both_in_kernel(*call));
  // Nor is one where a few odd packets are punted.
  const std::array<std::byte, 20> stun{std::byte{0}, std::byte{1}};
  for (int i = 0; i < 20; ++i) {
    relay.send_bytes(*call, LegId::caller, call->caller().at, stun);
  }
  relay.pass(2s);
  CHECK(relay.both_in_kernel(*call));
  relay.offloader.remove(call->group);
}

TEST_CASE("a copy under way outlives whatever happens to the flow") {
  struct Case {
    std::string description;
    std::function<void(OffloadFixture&, TestCall&)> meanwhile;
    bool removes;
  };
  const std::vector<Case> cases = {
      {"nothing", [](OffloadFixture&, TestCall&) {}, false},
      {"delete", [](OffloadFixture& relay, TestCall& call) { relay.offloader.remove(call.group); },
       true},
      {"another endpoint is signalled",
       [](OffloadFixture& relay, TestCall& call) {
         relay.signal(call, LegId::caller, kElsewhere);
         relay.pass(200ms);
       },
       false},
      {"the old endpoint is repeated",
       [](OffloadFixture& relay, TestCall& call) {
         relay.signal(call, LegId::caller, call.caller().at);
         relay.pass(200ms);
       },
       false},
      {"the call is on hold by policy, and back",
       [](OffloadFixture& relay, TestCall& call) {
         call.spec.complete = false;
         relay.update(call);
         relay.pass(100ms);
         call.spec.complete = true;
         relay.update(call);
         relay.pass(200ms);
       },
       false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OffloadFixture relay;
    const auto call = relay.make_call();
    relay.install(*call);
    for (const LegId leg : kLegs) relay.send(*call, leg, call->parties[index(leg)]);
    relay.slow.hold_tickets();
    relay.pass(60ms);
    REQUIRE(relay.path(*call, LegId::callee) == "on its way into the kernel");
    c.meanwhile(relay, *call);
    CHECK(relay.kernel.installed() == 0);
    relay.slow.settle_at_once();
    relay.pass(100ms);
    if (!c.removes) relay.offloader.remove(call->group);
  }
}

TEST_CASE("the copy that counts what came meanwhile outlives the flow's stay in the kernel") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  for (const LegId leg : kLegs) relay.send(*call, leg, call->parties[index(leg)]);
  relay.slow.hold_tickets();
  relay.pass(60ms);
  relay.slow.settle_all();
  relay.pass(20ms);
  REQUIRE(relay.both_in_kernel(*call));
  SUBCASE("delete") {
    relay.offloader.remove(call->group);
  }
  SUBCASE("another endpoint") {
    relay.signal(*call, LegId::caller, kElsewhere);
    relay.pass(200ms);
    relay.offloader.remove(call->group);
  }
  CHECK(relay.kernel.installed() == 0);
  relay.slow.settle_at_once();
  relay.pass(20ms);
}

TEST_CASE("a copy asked for before signalling took effect is neither freed nor used") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  for (const LegId leg : kLegs) relay.send(*call, leg, call->parties[index(leg)]);
  relay.slow.hold_tickets();
  relay.signal(*call, LegId::caller, kElsewhere);
  relay.pass(60ms);  // the latch of before still looks settled
  REQUIRE(relay.path(*call, LegId::callee) == "on its way into the kernel");
  relay.slow.settle(1);  // the spec, not the copies
  relay.pass(20ms);
  CHECK(relay.path(*call, LegId::callee) == "the receiver is not latched");

  SUBCASE("the session ends") {
    relay.offloader.remove(call->group);
  }
  SUBCASE("the contest is settled") {
    call->caller().at = kElsewhere;
    relay.send(*call, LegId::caller, call->caller());
    relay.pass(100ms);
    relay.slow.settle_at_once();
    relay.talk(*call, 200ms);
    CHECK(relay.both_in_kernel(*call));
    relay.offloader.remove(call->group);
  }
  relay.slow.settle_at_once();
}

TEST_CASE("signalling that takes effect while a flow goes down is not overlooked") {
  OffloadFixture relay;
  const auto call = relay.make_call();
  relay.install(*call);
  for (const LegId leg : kLegs) relay.send(*call, leg, call->parties[index(leg)]);
  relay.slow.hold_tickets();
  relay.signal(*call, LegId::caller, kElsewhere);
  relay.pass(60ms);
  REQUIRE(relay.path(*call, LegId::callee) == "on its way into the kernel");
  // The worker gets to it while the offloader is looking.
  relay.slow.before_settled = [&] { relay.slow.settle_at_once(); };
  relay.pass(20ms);
  CHECK(relay.kernel.installs == 0);
  relay.slow.before_settled = nullptr;
  relay.offloader.remove(call->group);
}

}  // namespace relay
