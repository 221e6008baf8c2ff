#include <doctest/doctest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "relay/dataplane/relay_packet.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

// Fails with the errors it was given, one a send, then succeeds.
class ScriptedSender final : public PacketSender {
 public:
  explicit ScriptedSender(std::vector<int> errors) : errors_(std::move(errors)) {}
  int send(FlowGroup&, LegId, Component, const Endpoint& destination, Bytes) override {
    last_destination = destination;
    ++sends;
    return sends <= errors_.size() ? errors_[sends - 1] : 0;
  }
  size_t sends = 0;
  Endpoint last_destination;

 private:
  std::vector<int> errors_;
};

const Endpoint kCaller{*IpAddress::parse("192.0.2.1"), 5000};
const Endpoint kCallee{*IpAddress::parse("198.51.100.2"), 6000};
const Endpoint kStranger{*IpAddress::parse("203.0.113.3"), 7000};

FlowGroupSpec complete_spec() {
  FlowGroupSpec spec;
  spec.complete = true;
  for (const LegId leg : kLegs) {
    LegSpec& leg_spec = spec.legs[index(leg)];
    leg_spec.sockets = {1000, 1001};  // never used: the sender is scripted
    leg_spec.local = {*IpAddress::parse("192.0.2.100"), 35000};
    leg_spec.signalled = leg == LegId::caller ? kCaller : kCallee;
    leg_spec.signalled_count = 1;
    leg_spec.with_codecs = true;
  }
  return spec;
}

uint64_t balance(const PlaneCounters& counters) {
  return counters.forwarded + counters.punted + counters.consumed + counters.dropped();
}

TEST_CASE("every packet is counted once, however its sends went") {
  struct Case {
    std::string description;
    std::vector<int> send_errors;
    size_t payload_bytes;
    bool duplicate_small;
    size_t sends;
    uint64_t forwarded, send_failed;
  };
  const std::vector<Case> cases = {
      {"sent", {}, 160, false, 1, 1, 0},
      {"no room in the socket", {EAGAIN}, 160, false, 1, 0, 1},
      {"no room in the kernel", {ENOBUFS}, 160, false, 1, 0, 1},
      {"refused by a firewall", {EPERM}, 160, false, 1, 0, 1},
      {"no route", {ENETUNREACH}, 160, false, 1, 0, 1},
      {"an earlier packet's ICMP error is asked away", {ECONNREFUSED}, 160, false, 2, 1, 0},
      {"asked away once only", {ECONNREFUSED, ECONNREFUSED}, 160, false, 2, 0, 1},
      {"another error behind it", {ECONNREFUSED, EPERM}, 160, false, 2, 0, 1},
      {"127 bytes leave twice under -2", {}, 115, true, 2, 1, 0},
      {"128 bytes do not", {}, 116, true, 1, 1, 0},
      {"127 bytes leave once without -2", {}, 115, false, 1, 1, 0},
      {"a failed copy costs nothing", {0, EAGAIN}, 20, true, 2, 1, 0},
      {"a failed original has no copy", {EAGAIN}, 20, true, 1, 0, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    auto group = std::make_unique<FlowGroup>();
    FlowGroupSpec spec = complete_spec();
    spec.duplicate_small_packets = c.duplicate_small;
    const Instant now = from_ns(1'000'000'000);
    apply_spec(*group, spec, now);

    ScriptedSender sender(c.send_errors);
    PlaneTotals totals;
    const auto bytes = testing::rtp_packet({.payload_bytes = c.payload_bytes});
    const Verdict verdict =
        relay_packet(*group, {LegId::caller, Component::rtp, kCaller, bytes}, now, sender, totals);

    CHECK((verdict.kind == Verdict::Kind::forward) == (c.forwarded == 1));
    CHECK(sender.sends == c.sends);
    CHECK(sender.last_destination == kCallee);
    PlaneCounters counters;
    totals.add_to(counters);
    CHECK(counters.received == 1);
    CHECK(counters.received_bytes == 12 + c.payload_bytes);
    CHECK(counters.forwarded == c.forwarded);
    CHECK(counters.drops[static_cast<size_t>(DropReason::send_failed)] == c.send_failed);
    CHECK(balance(counters) == 1);
    const FlowStats& stats = group->stats_of(LegId::caller, Component::rtp);
    CHECK(stats.received.get() == 1);
    CHECK(stats.forwarded.get() == c.forwarded);
    CHECK(stats.forwarded.get() + stats.dropped() == 1);
    CHECK(group->stats_of(LegId::callee, Component::rtp).received.get() == 0);
  }
}

TEST_CASE("a refused packet is not sent anywhere and has a reason") {
  auto group = std::make_unique<FlowGroup>();
  const Instant now = from_ns(1'000'000'000);
  apply_spec(*group, complete_spec(), now);
  ScriptedSender sender({});
  PlaneTotals totals;
  const auto bytes = testing::rtp_packet({});
  relay_packet(*group, {LegId::caller, Component::rtp, kCaller, bytes}, now, sender, totals);
  relay_packet(*group, {LegId::caller, Component::rtp, kStranger, bytes}, now, sender, totals);
  CHECK(sender.sends == 1);
  PlaneCounters counters;
  totals.add_to(counters);
  CHECK(counters.received == 2);
  CHECK(counters.dropped() == 1);
  CHECK(balance(counters) == 2);
}

TEST_CASE("a truncated datagram is a drop of its own and proves nothing") {
  auto group = std::make_unique<FlowGroup>();
  apply_spec(*group, complete_spec(), from_ns(1));
  PlaneTotals totals;
  drop_truncated(*group, LegId::callee, Component::rtp, 9000, totals);
  PlaneCounters counters;
  totals.add_to(counters);
  CHECK(counters.received_bytes == 9000);
  CHECK(counters.drops[static_cast<size_t>(DropReason::truncated)] == 1);
  CHECK(balance(counters) == counters.received);
  CHECK_FALSE(group->rtp_latch[index(LegId::callee)].holder());
}

}  // namespace
}  // namespace relay
