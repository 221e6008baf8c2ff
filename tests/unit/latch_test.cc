// The latching rules as tables: each case is a story of signalling and packets, and what the latch
// answers to each step.
#include "relay/flow/latch.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace relay {
namespace {

Endpoint at(const char* address, int port) {
  return {*IpAddress::parse(address), static_cast<uint16_t>(port)};
}

const Endpoint kSignalled = at("192.0.2.10", 40000);
const Endpoint kNatPort = at("192.0.2.10", 61000);
const Endpoint kStranger = at("203.0.113.66", 7000);
const Endpoint kOtherSignalled = at("198.51.100.7", 50000);

struct Step {
  enum class What { signal, signal_without_codecs, rtp, rtcp, stun, udptl, wait } what;
  Endpoint endpoint;
  uint32_t ssrc = 1;
  int sequence = 0;
  LatchResult expected = LatchResult::accept;
  int count = 1;  // packets, one every 20 ms; sequence rises
};
using What = Step::What;

Step signal(const Endpoint& endpoint) {
  return {What::signal, endpoint};
}
Step rtp(const Endpoint& source, int sequence, LatchResult expected, uint32_t ssrc = 1) {
  return {What::rtp, source, ssrc, sequence, expected};
}
Step run(const Endpoint& source, int sequence, int count, LatchResult expected, uint32_t ssrc = 1) {
  return {What::rtp, source, ssrc, sequence, expected, count};
}
Step wait_ms(int ms) {
  return {What::wait, {}, 0, ms};
}

struct Case {
  std::string description;
  std::vector<Step> steps;
  Endpoint egress;  // where media goes at the end
};

void play(const Case& c, LatchPolicy policy) {
  CAPTURE(c.description);
  RtpLatch latch;
  LegSpec leg;
  leg.policy = policy;
  leg.with_codecs = true;
  Instant now = from_ns(1'000'000'000'000);
  for (size_t i = 0; i < c.steps.size(); ++i) {
    const Step& step = c.steps[i];
    CAPTURE(i);
    if (step.what == What::wait) {
      now += std::chrono::milliseconds(step.sequence);
      continue;
    }
    if (step.what == What::signal || step.what == What::signal_without_codecs) {
      leg.with_codecs = step.what == What::signal;
      if (step.endpoint.valid()) leg.signalled = step.endpoint;
      leg.signalled_count++;
      latch.signal(leg, now);
      continue;
    }
    PacketKind kind = PacketKind::rtp;
    if (step.what == What::rtcp) kind = PacketKind::rtcp;
    if (step.what == What::stun) kind = PacketKind::stun;
    if (step.what == What::udptl) kind = PacketKind::other;
    for (int n = 0; n < step.count; ++n) {
      const LatchPacket packet{step.endpoint, kind, step.ssrc,
                               static_cast<uint16_t>(step.sequence + n), 0};
      CHECK(static_cast<int>(latch.on_packet(packet, now)) == static_cast<int>(step.expected));
      now += 20ms;
    }
  }
  CHECK(latch.egress(now).value_or(Endpoint{}).to_string() == c.egress.to_string());
}

constexpr auto kAccept = LatchResult::accept;
constexpr auto kRefuse = LatchResult::refuse;
constexpr auto kCandidate = LatchResult::candidate;
constexpr auto kNotRtp = LatchResult::not_rtp;

}  // namespace

TEST_CASE("strict latching") {
  const std::vector<Case> cases = {
      {"before any packet media goes to the signalled endpoint", {signal(kSignalled)}, kSignalled},
      {"the signalled endpoint takes it with its first packet",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept)},
       kSignalled},
      {"the signalled host takes it from another port",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept)},
       kNatPort},
      {"the signalled port is refused once another port of the host holds it",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), rtp(kSignalled, 1, kRefuse, 2)},
       kNatPort},
      {"a straggler of a stream that has moved elsewhere takes nothing back",
       {signal(kSignalled), run(kSignalled, 1, 10, kAccept), wait_ms(100),
        rtp(kStranger, 20, kAccept), rtp(kSignalled, 11, kRefuse)},
       kStranger},
      {"the signalled endpoint takes back a stream that it continues itself",
       {signal(kSignalled), run(kSignalled, 1, 10, kAccept), wait_ms(100),
        rtp(kStranger, 20, kAccept), rtp(kSignalled, 21, kAccept)},
       kSignalled},
      {"a stranger gets nothing with four packets",
       {signal(kSignalled), run(kStranger, 1, 4, kCandidate)},
       kSignalled},
      {"a stranger's consistent run takes it while the signalled host is silent",
       {signal(kSignalled), run(kStranger, 1, 4, kCandidate), rtp(kStranger, 5, kAccept)},
       kStranger},
      {"five packets in one instant are no run",
       {signal(kSignalled), rtp(kStranger, 1, kCandidate), wait_ms(-20),
        rtp(kStranger, 2, kCandidate), wait_ms(-20), rtp(kStranger, 3, kCandidate), wait_ms(-20),
        rtp(kStranger, 4, kCandidate), wait_ms(-20), rtp(kStranger, 5, kCandidate)},
       kSignalled},
      {"a changing SSRC is no run",
       {signal(kSignalled), run(kStranger, 1, 3, kCandidate, 1),
        run(kStranger, 4, 3, kCandidate, 2)},
       kSignalled},
      {"a standing or falling sequence is no run",
       {signal(kSignalled), rtp(kStranger, 9, kCandidate), rtp(kStranger, 9, kCandidate),
        rtp(kStranger, 8, kCandidate), rtp(kStranger, 7, kCandidate), rtp(kStranger, 6, kCandidate),
        rtp(kStranger, 5, kCandidate)},
       kSignalled},
      {"the signalled host takes it back from a stranger at once",
       {signal(kSignalled), run(kStranger, 1, 4, kCandidate), rtp(kStranger, 5, kAccept),
        rtp(kNatPort, 1, kAccept, 2), rtp(kStranger, 6, kRefuse)},
       kNatPort},
      {"STUN from the signalled host passes before RTP and restarts a stranger's run",
       {signal(kSignalled),
        run(kStranger, 1, 4, kCandidate),
        {What::stun, kSignalled, 0, 0, kAccept},
        rtp(kStranger, 5, kCandidate)},
       kSignalled},
      {"a stranger's STUN, RTCP and UDPTL prove nothing",
       {signal(kSignalled),
        {What::stun, kStranger, 0, 0, kNotRtp},
        {What::rtcp, kStranger, 0, 0, kNotRtp},
        {What::udptl, kStranger, 0, 0, kNotRtp}},
       kSignalled},
      {"RTCP on the RTP port does not move RTP",
       {signal(kSignalled), {What::rtcp, kNatPort, 0, 0, kAccept}},
       kSignalled},
      {"without codecs any packet from the signalled host takes it",
       {{What::signal_without_codecs, kSignalled}, {What::udptl, kNatPort, 0, 0, kAccept}},
       kNatPort},
      {"without codecs a stranger's UDPTL proves nothing",
       {{What::signal_without_codecs, kSignalled}, {What::udptl, kStranger, 0, 0, kNotRtp}},
       kSignalled},
      {"while the holder lives nobody takes it, not even with its SSRC",
       {signal(kSignalled), run(kSignalled, 1, 5, kAccept), rtp(kStranger, 6, kRefuse),
        rtp(kSignalled, 6, kAccept)},
       kSignalled},
      {"a silent holder's stream may go on from anywhere",
       {signal(kSignalled), run(kSignalled, 1, 5, kAccept), wait_ms(100),
        rtp(kStranger, 9, kAccept)},
       kStranger},
      {"a replayed packet of a silent holder continues nothing",
       {signal(kSignalled), run(kSignalled, 1, 5, kAccept), wait_ms(1000),
        rtp(kStranger, 5, kRefuse), rtp(kStranger, 3, kRefuse)},
       kSignalled},
      {"a new SSRC from a strange host needs signalling, however long the holder is silent",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), wait_ms(30000),
        run(kStranger, 1, 10, kRefuse, 2)},
       kSignalled},
      {"a consistent run from the holder's host takes it from a silent holder",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), wait_ms(5000),
        run(at("192.0.2.10", 62000), 1, 4, kCandidate, 2),
        rtp(at("192.0.2.10", 62000), 5, kAccept, 2)},
       at("192.0.2.10", 62000)},
      {"a re-INVITE that repeats the endpoint changes nothing",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(kSignalled),
        rtp(kStranger, 2, kRefuse, 2), rtp(kSignalled, 2, kRefuse, 2)},
       kNatPort},
      {"after a re-INVITE to another endpoint the living holder is still served",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(kOtherSignalled)},
       kNatPort},
      {"after a re-INVITE the newly signalled endpoint takes it at once",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(kOtherSignalled),
        rtp(kOtherSignalled, 1, kAccept, 2), rtp(kNatPort, 2, kRefuse)},
       kOtherSignalled},
      {"after a re-INVITE a silent holder is no longer served",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(kOtherSignalled), wait_ms(200)},
       kOtherSignalled},
      {"a stranger cannot use the window after a re-INVITE while the holder lives",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(kOtherSignalled),
        rtp(kStranger, 1, kRefuse, 3), rtp(kNatPort, 2, kAccept)},
       kNatPort},
      {"hold without an endpoint keeps the old one",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept), signal(Endpoint{})},
       kNatPort},
      {"a call that begins on hold can be joined by a consistent run",
       {signal(Endpoint{}), run(kNatPort, 1, 4, kCandidate), rtp(kNatPort, 5, kAccept)},
       kNatPort},
  };
  for (const Case& c : cases) play(c, LatchPolicy::strict);
}

TEST_CASE("a spray of single packets cannot displace a run in progress") {
  RtpLatch latch;
  LegSpec leg;
  leg.with_codecs = true;
  leg.signalled = kSignalled;
  leg.signalled_count = 1;
  Instant now = from_ns(1'000'000'000'000);
  latch.signal(leg, now);
  const auto spray = [&] {
    for (int port = 10000; port < 10020; ++port) {
      latch.on_packet({at("203.0.113.99", port), PacketKind::rtp, 77, 1, 0}, now);
    }
  };
  for (uint16_t n = 1; n <= 5; ++n) {
    if (n > 2) spray();  // a second packet has made it a run
    const LatchResult result = latch.on_packet({kStranger, PacketKind::rtp, 5, n, 0}, now);
    CHECK(result == (n == 5 ? kAccept : kCandidate));
    now += 10ms;
    if (n >= 2) spray();
    now += 10ms;
  }
}

TEST_CASE("asymmetric latching trusts the signalled host only, and always answers there") {
  const std::vector<Case> cases = {
      {"another port of the host is heard but not answered",
       {signal(kSignalled), rtp(kNatPort, 1, kAccept)},
       kSignalled},
      {"another host is refused, whatever it sends",
       {signal(kSignalled), run(kStranger, 1, 10, kRefuse)},
       kSignalled},
  };
  for (const Case& c : cases) play(c, LatchPolicy::asymmetric);
}

TEST_CASE("compat latching follows rtpproxy") {
  const std::vector<Case> cases = {
      {"the first packet wins, from anywhere",
       {signal(kSignalled), rtp(kStranger, 1, kAccept)},
       kStranger},
      {"the winner is locked",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), rtp(kStranger, 1, kRefuse, 2)},
       kSignalled},
      {"the same SSRC with a close later sequence number moves it",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), rtp(kStranger, 500, kAccept)},
       kStranger},
      {"a distance over 536 does not",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), rtp(kStranger, 600, kRefuse)},
       kSignalled},
      {"within ten seconds of a re-INVITE anybody may move it",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), signal(kSignalled),
        rtp(kStranger, 1, kAccept, 9)},
       kStranger},
      {"after ten seconds nobody may",
       {signal(kSignalled), rtp(kSignalled, 1, kAccept), signal(kSignalled), wait_ms(10001),
        rtp(kStranger, 1, kRefuse, 9)},
       kSignalled},
  };
  for (const Case& c : cases) play(c, LatchPolicy::compat);
}

TEST_CASE("RTCP follows RTP's host and never moves RTP") {
  RtpLatch rtp_latch;
  RtcpLatch rtcp_latch;
  LegSpec leg;
  leg.signalled = kSignalled;
  leg.signalled_count = 1;
  Instant now = from_ns(1'000'000'000'000);
  rtp_latch.signal(leg, now);
  const auto rtcp_from = [&](const Endpoint& source) {
    return rtcp_latch.on_packet(rtp_latch, {source, PacketKind::rtcp, 0, 0, 0}, now);
  };
  const auto egress = [&] { return rtcp_latch.egress(rtp_latch, now)->to_string(); };

  CHECK(egress() == "192.0.2.10:40001");
  CHECK(rtcp_from(kStranger) == kRefuse);
  CHECK(rtcp_from(at("192.0.2.10", 61001)) == kAccept);
  CHECK(egress() == "192.0.2.10:61001");
  CHECK(rtp_latch.egress(now)->port == 40000);

  // RTP moves to another host: what RTCP has learnt is stale.
  rtp_latch.on_packet({kSignalled, PacketKind::rtp, 1, 1, 0}, now);
  now += 200ms;
  rtp_latch.on_packet({kStranger, PacketKind::rtp, 1, 2, 0}, now);
  CHECK(egress() == "203.0.113.66:7001");
  CHECK(rtcp_from(at("192.0.2.10", 61001)) == kRefuse);
}

}  // namespace relay
