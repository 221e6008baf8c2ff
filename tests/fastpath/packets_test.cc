// Packets through the loaded program: verdict, bytes, counters. What a relayed packet looks like
// is checked by a reader that knows nothing of the kernel's helpers.
#include <algorithm>
#include <random>

#include "relay/fastpath/self_test.h"
#include "relay/rtp/analyser.h"
#include "tests/fastpath/loaded_program.h"

namespace relay::testing {
namespace {

const Packet kRtp = rtp_packet({});
const Packet kRtcp = rtcp_packet();
const Packet kStun = bytes({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20);
const Packet kDtls = bytes({22, 254, 253}, 60);

struct Expected {
  int verdict;
  int punt = -1;  // enum KernelPunt
};

struct Case {
  std::string description;
  KernelFlowSpec spec;
  Endpoint source;
  Packet payload;
  Expected expected;
  std::optional<Endpoint> egress{}, destination{};  // where not the flow's own
};

KernelFlowSpec with_rtcp(KernelFlowSpec spec) {
  spec.rtcp = {at("127.0.0.1", 35003), at("127.0.0.8", 50001)};
  return spec;
}
KernelFlowSpec of_rtcp_port(KernelFlowSpec spec) {
  spec.component = Component::rtcp;
  return spec;
}
KernelFlowSpec with_ssrc(KernelFlowSpec spec, uint32_t ssrc) {
  spec.ssrc = ssrc;
  return spec;
}

const std::vector<Case>& cases() {
  static const Endpoint kSource = flow_v4().source;
  static const std::vector<Case> table = {
      {"RTP from the source is relayed", flow_v4(), kSource, kRtp, {kRedirect}},
      {"the same over IPv6", flow_v6(), flow_v6().source, kRtp, {kRedirect}},
      {"another port of the source's host is a stranger's",
       flow_v4(),
       at("192.0.2.10", 40001),
       kRtp,
       {kNext, kernel_punt_other_source}},
      {"another host with the source's port is a stranger's",
       flow_v4(),
       at("203.0.113.66", 40000),
       kRtp,
       {kNext, kernel_punt_other_source}},
      {"IPv6: a host that differs in the last word is a stranger",
       flow_v6(),
       at("2001:db8::11", 40000),
       kRtp,
       {kNext, kernel_punt_other_source}},
      {"STUN is for the socket", flow_v4(), kSource, kStun, {kNext, kernel_punt_not_rtp}},
      {"DTLS is for the socket", flow_v4(), kSource, kDtls, {kNext, kernel_punt_not_rtp}},
      {"a keep-alive of one byte is for the socket",
       flow_v4(),
       kSource,
       bytes({0}, 1),
       {kNext, kernel_punt_not_rtp}},
      {"an empty datagram is for the socket",
       flow_v4(),
       kSource,
       Packet{},
       {kNext, kernel_punt_not_rtp}},
      {"RTP that lacks its CSRCs is no RTP",
       flow_v4(),
       kSource,
       bytes({0x82, 0}, 19),
       {kNext, kernel_punt_not_rtp}},
      {"RTP of a bare header is RTP", flow_v4(), kSource, bytes({0x80, 0}, 12), {kRedirect}},
      {"eleven bytes are no RTP",
       flow_v4(),
       kSource,
       bytes({0x80, 0}, 11),
       {kNext, kernel_punt_not_rtp}},
      {"RTCP on the RTP port is for the socket unless told",
       flow_v4(),
       kSource,
       kRtcp,
       {kNext, kernel_punt_rtcp}},
      {"RTCP on the RTP port goes where told",
       with_rtcp(flow_v4()),
       kSource,
       kRtcp,
       {kRedirect},
       at("127.0.0.1", 35003),
       at("127.0.0.8", 50001)},
      {"RTP beside it goes the flow's way", with_rtcp(flow_v4()), kSource, kRtp, {kRedirect}},
      {"RTCP that is longer than its packet is for the socket",
       with_rtcp(flow_v4()),
       kSource,
       bytes({0x80, 200, 0, 9}, 28),
       {kNext, kernel_punt_not_rtp}},
      {"RTCP on the RTCP port is relayed", of_rtcp_port(flow_v4()), kSource, kRtcp, {kRedirect}},
      {"RTP on the RTCP port is for the socket",
       of_rtcp_port(flow_v4()),
       kSource,
       kRtp,
       {kNext, kernel_punt_not_rtp}},
      {"the SSRC of the flow is relayed",
       with_ssrc(flow_v4(), 0x11111111),
       kSource,
       kRtp,
       {kRedirect}},
      {"another SSRC is for the socket where asked",
       with_ssrc(flow_v4(), 0x22222222),
       kSource,
       kRtp,
       {kNext, kernel_punt_new_ssrc}},
  };
  return table;
}

void check_relayed(const Case& c, const std::vector<std::byte>& frame) {
  const auto relayed = read_frame(frame);
  REQUIRE(relayed.has_value());  // all lengths and checksums are right
  CHECK(relayed->source == c.egress.value_or(c.spec.egress));
  CHECK(relayed->destination == c.destination.value_or(c.spec.destination));
  CHECK(relayed->payload == c.payload);
}

}  // namespace

TEST_CASE("each packet of a flow meets its verdict") {
  LoadedProgram loaded;
  for (const Case& c : cases()) {
    CAPTURE(c.description);
    const KernelFlowId id = loaded.install(c.spec);
    const auto frame = build_frame({c.source, c.spec.local, c.payload});
    const BpfTestRun run = loaded.run(frame);
    CHECK(run.verdict == c.expected.verdict);
    if (run.verdict == kRedirect) {
      check_relayed(c, run.frame);
    } else {
      CHECK(run.frame == frame);  // a punted packet is untouched
    }
    const KernelFlowReport report = loaded.flows().remove(id, steady_now());
    CHECK(report.stats.received == 1);
    CHECK(report.stats.received_bytes == c.payload.size());
    CHECK(report.stats.forwarded == (run.verdict == kRedirect ? 1 : 0));
    CHECK(balanced(report.stats));
    if (c.expected.punt >= 0) CHECK(report.stats.punts[c.expected.punt] == 1);
    CHECK((report.stats.last_seen_ns != 0) == (run.verdict == kRedirect));
  }
}

TEST_CASE("what is no flow's goes up untouched and uncounted") {
  LoadedProgram loaded;
  const KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec);
  struct Other {
    std::string description;
    Endpoint local;
  };
  const std::vector<Other> cases = {
      {"another port of our address", at("192.0.2.1", 35001)},
      {"the port on another address", at("192.0.2.2", 35000)},
  };
  for (const Other& c : cases) {
    CAPTURE(c.description);
    const auto frame = build_frame({spec.source, c.local, kRtp});
    const BpfTestRun run = loaded.run(frame);
    CHECK(run.verdict == kNext);
    CHECK(run.frame == frame);
  }
  CHECK(loaded.flows().remove(id, steady_now()).stats.received == 0);
  CHECK(loaded.run(spec, kRtp).verdict == kNext);  // removed
}

TEST_CASE("TOS is set where asked, TTL falls by one on lo") {
  LoadedProgram loaded;
  for (KernelFlowSpec spec : {flow_v4(), flow_v6()}) {
    for (const int tos : {-1, 0, 184, 255}) {
      CAPTURE(spec.local.to_string());
      CAPTURE(tos);
      spec.tos = tos;
      const KernelFlowId id = loaded.install(spec);
      TestFrame frame{spec.source, spec.local, kRtp};
      frame.tos = 0x28;
      frame.ttl = 10;
      const auto relayed = read_frame(loaded.run(build_frame(frame)).frame);
      REQUIRE(relayed.has_value());
      CHECK(relayed->tos == (tos < 0 ? 0x28 : tos));
      CHECK(relayed->ttl == 9);
      frame.ttl = 1;
      CHECK(loaded.run(build_frame(frame)).verdict == kDrop);
      CHECK(loaded.flows().remove(id, steady_now()).stats.drops[kernel_drop_loop] == 1);
    }
  }
}

TEST_CASE("refused sources reach the socket at a bounded rate") {
  LoadedProgram loaded;
  FastpathConfig config{};
  config.punt_interval_ns = 3'600'000'000'000;
  config.punt_burst_ns = config.punt_interval_ns * 20;
  loaded.configure(config);
  const KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec);
  const auto frame = build_frame({at("203.0.113.66", 7000), spec.local, kRtp});
  int punted = 0;
  for (int i = 0; i < 1000; ++i) {
    const int verdict = loaded.run(frame).verdict;
    CHECK((verdict == kNext || verdict == kDrop));
    if (verdict == kNext) ++punted;
  }
  CHECK(punted == 21);  // the burst, and the first
  CHECK(loaded.run(spec, kRtp).verdict == kRedirect);
  const KernelFlowReport report = loaded.flows().remove(id, steady_now());
  CHECK(report.stats.drops[kernel_drop_source_refused] == 979);
  CHECK(report.stats.punts[kernel_punt_other_source] == 21);
  CHECK(balanced(report.stats));
}

TEST_CASE("on lo a flow with a tee is the socket's, and a copy is known by its mark") {
  LoadedProgram loaded;
  FastpathConfig config{};
  config.tee_mark = 0x7E7E;
  loaded.configure(config);
  KernelFlowSpec spec = flow_v4();
  spec.tee_to_socket = true;
  const KernelFlowId id = loaded.install(spec);
  const auto frame = build_frame({spec.source, spec.local, kRtp});
  const BpfTestRun run = loaded.run(frame);
  CHECK(run.verdict == kNext);
  CHECK(run.frame == frame);
  CHECK(loaded.run(frame, 0x7E7E).verdict == kNext);
  const KernelFlowReport report = loaded.flows().remove(id, steady_now());
  CHECK(report.stats.received == 1);  // the copy was counted when it was made
  CHECK(report.stats.punts[kernel_punt_local_tee] == 1);
  CHECK(report.stats.teed == 0);
}

TEST_CASE("a fast path that needs its owner ends with him") {
  LoadedProgram loaded;
  FastpathConfig config{};
  const KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec);
  const auto after = [](Duration wait) {
    return static_cast<uint64_t>(to_ns(steady_now() + wait));
  };
  config.hops_until_ns = after(-1ms);
  loaded.configure(config);
  CHECK(loaded.run(spec, kRtp).verdict == kRedirect);
  config.needs_owner = 1;
  loaded.configure(config);
  CHECK(loaded.run(spec, kRtp).verdict == kNext);
  config.hops_until_ns = after(1h);
  loaded.configure(config);
  CHECK(loaded.run(spec, kRtp).verdict == kRedirect);
  CHECK(loaded.flows().remove(id, steady_now()).stats.forwarded == 2);
}

TEST_CASE("an update changes the way, and keeps the figures") {
  LoadedProgram loaded;
  KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec);
  CHECK(loaded.run(spec, kRtp).verdict == kRedirect);
  spec.destination = at("127.0.0.9", 50009);
  REQUIRE(loaded.flows().update(id, spec));
  CHECK(read_frame(loaded.run(spec, kRtp).frame)->destination == spec.destination);
  CHECK(loaded.flows().stats(id)->forwarded == 2);
  KernelFlowSpec moved = spec;
  moved.local.port = 1;
  CHECK_FALSE(loaded.flows().update(id, moved));
  CHECK(loaded.flows().remove(id, steady_now()).stats.forwarded == 2);
  CHECK_FALSE(loaded.flows().update(id, spec));
  CHECK(loaded.flows().stats(id) == nullptr);
  CHECK(loaded.flows().remove(id, steady_now()).stats.received == 0);
}

TEST_CASE("what the kernel cannot relay is refused with the reason") {
  LoadedProgram loaded(2);
  struct Refused {
    std::string description;
    void (*spoil)(KernelFlowSpec&);
    std::string reason;
  };
  const std::vector<Refused> cases = {
      {"IPv4 to IPv6", [](KernelFlowSpec& s) { s.destination = at("2001:db8::7", 50000); },
       "does not translate"},
      {"wildcard local", [](KernelFlowSpec& s) { s.local = at("0.0.0.0", 35000); }, "concrete"},
      {"port zero", [](KernelFlowSpec& s) { s.source.port = 0; }, "concrete"},
      {"multicast", [](KernelFlowSpec& s) { s.destination = at("224.0.0.1", 9); }, "multicast"},
      {"no route", [](KernelFlowSpec& s) { s.destination = at("192.0.2.99", 9); }, "the way to"},
      {"TOS", [](KernelFlowSpec& s) { s.tos = 256; }, "above 255"},
  };
  for (const Refused& c : cases) {
    CAPTURE(c.description);
    KernelFlowSpec spec = flow_v4();
    c.spoil(spec);
    const auto id = loaded.flows().install(spec, {}, steady_now());
    REQUIRE_FALSE(id);
    CHECK(id.error().message.find(c.reason) != std::string::npos);
  }
  const KernelFlowId first = loaded.install(flow_v4());
  const auto twice = loaded.flows().install(flow_v4(), {}, steady_now());
  REQUIRE_FALSE(twice);
  CHECK(twice.error().message.find("already") != std::string::npos);
  const auto full = loaded.flows().install(flow_v6(), {}, steady_now());
  REQUIRE_FALSE(full);  // the slot of the failed one rests
  CHECK(full.error().message.find("in use") != std::string::npos);
  const auto later = loaded.flows().install(flow_v6(), {}, steady_now() + 2s);
  REQUIRE(later);
  CHECK(later->generation != first.generation);
}

TEST_CASE("the kernel's figures are the analyser's") {
  LoadedProgram loaded;
  std::mt19937 random(7);
  RtpAnalyser before;
  before.on_packet(rtp_packet({.sequence = 65500}), steady_now());
  const KernelFlowSpec spec = flow_v4();
  const KernelFlowId id = loaded.install(spec, before.state());
  RtpAnalyser reference = before;
  RtpFields fields{.sequence = 65500, .payload_bytes = 80};
  for (int i = 0; i < 5000; ++i) {
    const auto dice = random() % 1000;
    if (dice < 950) {
      ++fields.sequence;
    } else if (dice < 980) {
      fields.sequence = static_cast<uint16_t>(fields.sequence + random() % 40 - 20);
    } else if (dice < 990) {
      fields.sequence = static_cast<uint16_t>(random());
    } else {
      fields.ssrc = static_cast<uint32_t>(random() % 7);
    }
    fields.timestamp = uint32_t{fields.sequence} * 160 + static_cast<uint32_t>(random() % 3) * 80;
    fields.marker = random() % 50 == 0;
    Packet packet = rtp_packet(fields);
    if (random() % 20 == 0) packet[0] = static_cast<std::byte>(0x80 | (random() % 64));
    reference.on_packet(packet, steady_now());
    CHECK(loaded.run(spec, packet).verdict == kRedirect);
  }
  const KernelFlowReport report = loaded.flows().remove(id, steady_now());
  const AnalyserTotals kernel = totals_of(report.stream), expected = reference.totals();
  CHECK(kernel.sent == expected.sent);
  CHECK(kernel.received == expected.received);
  CHECK(kernel.duplicates == expected.duplicates);
  CHECK(kernel.parse_errors == expected.parse_errors);
  CHECK(kernel.ssrc_changes == expected.ssrc_changes);
  CHECK(kernel.ssrc_last == expected.ssrc_last);
  CHECK(kernel.payload_type_last == expected.payload_type_last);
  CHECK(expected.parse_errors > 50);
  CHECK(expected.duplicates > 20);
}

TEST_CASE("the loader's self-test passes, and leaves nothing behind") {
  LoadedProgram loaded;
  const auto tested = self_test(loaded.program(), loaded.flows(), steady_now());
  CHECK_MESSAGE(tested.has_value(), (tested ? std::string() : tested.error().message));
  CHECK(loaded.flows().size() == 0);
}

}  // namespace relay::testing
