// decide() as a table: what a packet meets once its source is known to the latch.
#include "relay/flow/decide.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

namespace relay {
namespace {

Endpoint at(const char* address, int port) {
  return {*IpAddress::parse(address), static_cast<uint16_t>(port)};
}

const Endpoint kCaller = at("192.0.2.10", 40000);
const Endpoint kCallee = at("198.51.100.7", 50000);
const Endpoint kStranger = at("203.0.113.66", 7000);

std::vector<std::byte> bytes(std::initializer_list<int> values, size_t size) {
  std::vector<std::byte> result(size);
  size_t i = 0;
  for (const int value : values) result[i++] = static_cast<std::byte>(value);
  return result;
}
const auto kRtp = bytes({0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, 172);
const auto kRtcp = bytes({0x80, 200, 0, 6, 0, 0, 0, 9}, 28);
const auto kStun = bytes({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20);
const auto kKeepAlive = bytes({0}, 4);

FlowGroupSpec two_legs() {
  FlowGroupSpec spec;
  spec.complete = true;
  for (LegSpec& leg : spec.legs) {
    leg.sockets = {10, 11};
    leg.signalled_count = 1;
    leg.with_codecs = true;
  }
  spec.legs[index(LegId::caller)].signalled = kCaller;
  spec.legs[index(LegId::callee)].signalled = kCallee;
  return spec;
}

std::string describe(const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::drop) return "drop " + std::string(to_string(verdict.reason));
  if (verdict.kind != Verdict::Kind::forward) return "other";
  return std::string(verdict.egress_component == Component::rtp ? "rtp " : "rtcp ") +
         (verdict.egress_leg == LegId::caller ? "caller " : "callee ") +
         verdict.destination.to_string();
}

struct Packet {
  LegId leg;
  Component component;
  Endpoint source;
  const std::vector<std::byte>& bytes;
  std::string expected;
};

struct Case {
  std::string description;
  FlowGroupSpec spec;
  std::vector<Packet> packets;
};

FlowGroupSpec incomplete() {
  FlowGroupSpec spec = two_legs();
  spec.complete = false;
  return spec;
}
FlowGroupSpec callee_unknown() {
  FlowGroupSpec spec = two_legs();
  spec.legs[index(LegId::callee)].signalled.reset();
  return spec;
}
FlowGroupSpec callee_closed() {
  FlowGroupSpec spec = two_legs();
  spec.legs[index(LegId::callee)].sockets = {-1, -1};
  return spec;
}

constexpr auto kFromCaller = LegId::caller;
constexpr auto kFromCallee = LegId::callee;

}  // namespace

TEST_CASE("every packet ends in one verdict") {
  const Endpoint caller_rtcp = at("192.0.2.10", 40001);
  const Endpoint callee_rtcp = at("198.51.100.7", 50001);
  const auto rtp = Component::rtp;
  const auto rtcp = Component::rtcp;
  const std::vector<Case> cases = {
      {"an incomplete session relays nothing",
       incomplete(),
       {{kFromCaller, rtp, kCaller, kRtp, "drop session_incomplete"}}},
      {"RTP goes to the other leg's signalled endpoint",
       two_legs(),
       {{kFromCaller, rtp, kCaller, kRtp, "rtp callee 198.51.100.7:50000"},
        {kFromCallee, rtp, kCallee, kRtp, "rtp caller 192.0.2.10:40000"}}},
      {"RTP goes where the other party really is",
       two_legs(),
       {{kFromCallee, rtp, at("198.51.100.7", 61000), kRtp, "rtp caller 192.0.2.10:40000"},
        {kFromCaller, rtp, kCaller, kRtp, "rtp callee 198.51.100.7:61000"}}},
      {"a stranger is refused",
       two_legs(),
       {{kFromCaller, rtp, kStranger, kRtp, "drop candidate"},
        {kFromCaller, rtp, kCaller, kRtp, "rtp callee 198.51.100.7:50000"},
        {kFromCaller, rtp, kStranger, kRtp, "drop source_refused"},
        {kFromCaller, rtp, kStranger, kStun, "drop source_refused"}}},
      {"a stranger's keep-alive proves nothing",
       two_legs(),
       {{kFromCaller, rtp, kStranger, kKeepAlive, "drop not_rtp"}}},
      {"STUN passes before RTP",
       two_legs(),
       {{kFromCaller, rtp, kCaller, kStun, "rtp callee 198.51.100.7:50000"}}},
      {"RTCP uses the ports above",
       two_legs(),
       {{kFromCaller, rtcp, caller_rtcp, kRtcp, "rtcp callee 198.51.100.7:50001"},
        {kFromCallee, rtcp, callee_rtcp, kRtcp, "rtcp caller 192.0.2.10:40001"}}},
      {"muxed RTCP stays on the RTP ports",
       two_legs(),
       {{kFromCaller, rtp, kCaller, kRtcp, "rtp callee 198.51.100.7:50000"},
        {kFromCallee, rtp, kCallee, kRtcp, "rtp caller 192.0.2.10:40000"}}},
      {"muxed RTCP reaches a party that keeps it apart",
       two_legs(),
       {{kFromCallee, rtcp, callee_rtcp, kRtcp, "rtcp caller 192.0.2.10:40001"},
        {kFromCaller, rtp, kCaller, kRtcp, "rtcp callee 198.51.100.7:50001"},
        {kFromCallee, rtcp, callee_rtcp, kRtcp, "rtp caller 192.0.2.10:40000"}}},
      {"without an endpoint on the other side there is nowhere to go",
       callee_unknown(),
       {{kFromCaller, rtp, kCaller, kRtp, "drop no_egress"},
        {kFromCaller, rtcp, caller_rtcp, kRtcp, "drop no_egress"}}},
      {"a leg without sockets sends nothing",
       callee_closed(),
       {{kFromCaller, rtp, kCaller, kRtp, "drop leg_closed"}}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    FlowGroup group;
    Instant now = from_ns(1'000'000'000'000);
    apply_spec(group, c.spec, now);
    for (const Packet& p : c.packets) {
      CHECK(describe(decide(group, {p.leg, p.component, p.source, p.bytes}, now)) == p.expected);
      now += 20ms;
    }
  }
}

TEST_CASE("an accepted packet is analysed and remembered, a refused one is not") {
  FlowGroup group;
  const Instant now = from_ns(1'000'000'000'000);
  apply_spec(group, two_legs(), now);
  const FlowStats& stats = group.stats_of(LegId::caller, Component::rtp);
  decide(group, {LegId::caller, Component::rtp, kStranger, kRtp}, now);
  CHECK(stats.last_accepted_ns.load() == 0);
  CHECK(group.analysis_of(LegId::caller).received == 0);
  decide(group, {LegId::caller, Component::rtp, kCaller, kRtp}, now);
  CHECK(stats.last_accepted_ns.load() == to_ns(now));
  CHECK(group.analysis_of(LegId::caller).received == 1);
  CHECK(group.latch_of(LegId::caller).holder == kCaller);
  CHECK(group.latch_of(LegId::caller).rank == LatchState::Rank::signalled);
}

}  // namespace relay
