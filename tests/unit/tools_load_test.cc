#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tools/rtpp-load/bencode.h"
#include "tools/rtpp-load/histogram.h"
#include "tools/rtpp-load/knee_search.h"
#include "tools/rtpp-load/load_options.h"
#include "tools/rtpp-load/media_engine.h"
#include "tools/rtpp-load/media_profile.h"
#include "tools/rtpp-load/probe.h"
#include "tools/rtpp-load/sequence_tracker.h"
#include "tools/rtpp-load/signalling.h"
#include "tools/rtpp-load/system_usage.h"
#include "tools/rtpp-load/thresholds.h"

namespace relay::tools {

TEST_CASE("a histogram's quantiles are right within its buckets' width") {
  Histogram histogram;
  for (int64_t ns = 1; ns <= 1'000'000; ++ns) histogram.record(ns);
  for (const double fraction : {0.001, 0.5, 0.99, 0.999, 1.0}) {
    CAPTURE(fraction);
    const double exact = fraction * 1'000'000;
    const auto found = static_cast<double>(histogram.quantile_ns(fraction));
    CHECK(found >= exact);
    CHECK(found <= exact * 1.016);
  }
  CHECK(histogram.min_ns() == 1);
  CHECK(histogram.max_ns() == 1'000'000);
  CHECK(histogram.count() == 1'000'000);
  CHECK(histogram.mean_ns() == doctest::Approx(500'000.5));
}

TEST_CASE("a histogram takes any time") {
  struct Case {
    std::string description;
    int64_t ns;
    int64_t expected_ns;
  };
  const std::vector<Case> cases = {
      {"below zero is zero", -5, 0},
      {"zero", 0, 0},
      {"small times are exact", 127, 127},
      {"the first bucket of two", 128, 128},
      {"an hour", 3'600'000'000'000, 3'600'000'000'000},
      {"more than an hour is an hour", INT64_MAX, 3'600'000'000'000},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Histogram histogram;
    histogram.record(c.ns);
    CHECK(histogram.quantile_ns(0.5) == c.expected_ns);
    CHECK(histogram.min_ns() == c.expected_ns);
  }
  const Histogram empty;
  CHECK(empty.min_ns() == 0);
  CHECK(empty.max_ns() == 0);
  CHECK(empty.quantile_ns(0.99) == 0);
}

TEST_CASE("merged histograms are one") {
  Histogram low, high;
  low.record(10);
  high.record(1'000'000);
  low.merge(high);
  CHECK(low.count() == 2);
  CHECK(low.min_ns() == 10);
  CHECK(low.max_ns() == 1'000'000);
  CHECK(low.quantile_ns(0.5) == 10);
}

TEST_CASE("arrivals are told apart by their numbers") {
  using Arrival = SequenceTracker::Arrival;
  struct Case {
    std::string description;
    std::vector<uint32_t> before;
    uint32_t sequence;
    Arrival expected;
  };
  const std::vector<Case> cases = {
      {"the first one", {}, 7, Arrival::in_order},
      {"the next one", {7}, 8, Arrival::in_order},
      {"one behind a gap", {7}, 10, Arrival::in_order},
      {"the gap filled later", {7, 10}, 9, Arrival::reordered},
      {"the same again", {7}, 7, Arrival::duplicate},
      {"a late one twice", {7, 10, 9}, 9, Arrival::duplicate},
      {"one from before the first", {7}, 6, Arrival::reordered},
      {"the last of the window twice", {1, 1024}, 1, Arrival::duplicate},
      {"one older than the window", {1, 1025}, 1, Arrival::reordered},
      {"a jump of a whole window forgets what was",
       {1, 1025, 1026},
       1025 - 1023,
       Arrival::reordered},
      {"a jump of many windows", {1, 1'000'000}, 999'999, Arrival::reordered},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    SequenceTracker tracker;
    for (const uint32_t sequence : c.before) tracker.record(sequence);
    CHECK(tracker.record(c.sequence) == c.expected);
  }
}

TEST_CASE("a probe is read back as it was written, and nothing else is") {
  Probe probe;
  probe.run = 0xCAFE0001;
  probe.call = 499;
  probe.direction = 1;
  probe.warm_up = true;
  probe.sequence = 70'000;
  probe.sent_ns = 1'700'000'000'123'456'789;
  std::vector<uint8_t> rtp(kRtpHeaderBytes + 160);
  write_rtp_probe(rtp, probe, {96, true, 160});
  CHECK(read_probe(rtp, ProbeKind::rtp) == probe);
  CHECK_FALSE(read_probe(rtp, ProbeKind::rtcp));
  CHECK(rtp[0] == 0x80);
  CHECK(rtp[1] == (0x80 | 96));
  CHECK((rtp[2] << 8 | rtp[3]) == (70'000 & 0xFFFF));

  probe.kind = ProbeKind::rtcp;
  std::array<uint8_t, kRtcpBytes> rtcp{};
  write_rtcp_probe(rtcp, probe);
  CHECK(read_probe(rtcp, ProbeKind::rtcp) == probe);
  CHECK_FALSE(read_probe(rtcp, ProbeKind::rtp));

  const std::vector<uint8_t> cut(rtp.begin(), rtp.begin() + kRtpHeaderBytes + kProbeBytes - 1);
  CHECK_FALSE(read_probe(cut, ProbeKind::rtp));
  CHECK_FALSE(read_probe({}, ProbeKind::rtp));
}

TEST_CASE("U and L answer a port and perhaps an address") {
  const IpAddress standard = *IpAddress::parse("192.0.2.9");
  struct Case {
    std::string description;
    std::string reply;
    std::string expected;  // empty: refused
  };
  const std::vector<Case> cases = {
      {"a port alone", "30000", "192.0.2.9:30000"},
      {"with an address", "30000 192.0.2.1", "192.0.2.1:30000"},
      {"with an IPv6 address and its mark", "30000 2001:db8::1 6", "[2001:db8::1]:30000"},
      {"rtpengine marks IPv4 too", "30000 192.0.2.1 4", "192.0.2.1:30000"},
      {"an error", "E72", ""},
      {"an unknown session", "0", ""},
      {"a port over 65535", "65536", ""},
      {"an advertised host name", "30000 relay.example.com", ""},
      {"nothing", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto endpoint = parse_port_reply(c.reply, standard);
    CHECK(endpoint.has_value() == !c.expected.empty());
    if (endpoint) CHECK(endpoint->to_string() == c.expected);
  }
}

TEST_CASE("bencode is written and read") {
  const std::string text = BencodeDictionary()
                               .add("command", "offer")
                               .add("delete-delay", 0)
                               .add_list("replace", {"origin", "session-connection"})
                               .to_string();
  CHECK(text == "d7:command5:offer12:delete-delayi0e7:replacel6:origin18:session-connectionee");
  struct Case {
    std::string description;
    std::string text;
    bool valid;
  };
  const std::vector<Case> cases = {
      {"our own", text, true},
      {"empty", "de", true},
      {"nested values are passed over", "d1:ad1:bl1:cee1:di-7ee", true},
      {"no end", "d1:a1:b", false},
      {"a string longer than the text", "d1:a99:be", false},
      {"a length that overflows", "d1:a99999999999999999999:be", false},
      {"a key without value", "d1:ae", false},
      {"an integer without digits", "d1:aiee", false},
      {"a list without end", "d1:al1:b", false},
      {"nested too deep", "d1:a" + std::string(100'000, 'l'), false},
      {"a string", "2:ok", false},
      {"nothing", "", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(parse_bencode_strings(c.text).has_value() == c.valid);
  }
  CHECK(parse_bencode_strings("d6:result2:ok1:ad1:b1:ce5:counti-7ee") ==
        std::map<std::string, std::string>{{"result", "ok"}, {"count", "-7"}});
}

TEST_CASE("an SDP says where audio goes") {
  struct Case {
    std::string description;
    std::string sdp;
    std::string rtp;  // empty: refused
    std::string rtcp;
  };
  const std::vector<Case> cases = {
      {"RTCP one port above", "c=IN IP4 192.0.2.1\r\nm=audio 30000 RTP/AVP 0\r\n",
       "192.0.2.1:30000", "192.0.2.1:30001"},
      {"RTCP elsewhere", "c=IN IP4 192.0.2.1\nm=audio 30000 RTP/AVP 0\na=rtcp:31001\n",
       "192.0.2.1:30000", "192.0.2.1:31001"},
      {"the address behind the media line", "m=audio 30000 RTP/AVP 0\nc=IN IP6 2001:db8::1",
       "[2001:db8::1]:30000", "[2001:db8::1]:30001"},
      {"no address", "m=audio 30000 RTP/AVP 0\n", "", ""},
      {"no media", "c=IN IP4 192.0.2.1\n", "", ""},
      {"a rejected stream", "c=IN IP4 192.0.2.1\nm=audio 0 RTP/AVP 0\n", "", ""},
      {"nothing", "", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto audio = parse_sdp_audio(c.sdp);
    CHECK(audio.has_value() == !c.rtp.empty());
    if (!audio) continue;
    CHECK(audio->rtp.to_string() == c.rtp);
    CHECK(audio->rtcp.to_string() == c.rtcp);
  }
}

TEST_CASE("processor time and memory are read from the right fields") {
  const std::string stat =
      "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 900 1000000 2500 "
      "18446744073709551615 1";
  const auto usage = parse_process_stat(stat, 100, 4);
  REQUIRE(usage);
  CHECK(usage->cpu == std::chrono::seconds(2));
  CHECK(usage->resident_kib == 10000);
  CHECK_FALSE(parse_process_stat("42 (a) S 1", 100, 4));
  CHECK_FALSE(parse_process_stat("", 100, 4));

  const auto machine = parse_machine_stat("cpu  100 20 30 1000 500 10 40 7 50 0\ncpu0 1\n", 100);
  REQUIRE(machine);
  CHECK(machine->busy == std::chrono::seconds(2));
  CHECK(machine->softirq == std::chrono::milliseconds(400));
  CHECK_FALSE(parse_machine_stat("intr 1 2 3", 100));
  CHECK_FALSE(parse_machine_stat("cpu 1 2 3\n", 100));
}

TEST_CASE("a process that is not there is an error that names it") {
  const auto usage = read_process_usage({1 << 30});
  REQUIRE_FALSE(usage);
  CHECK(usage.error().message.find("1073741824") != std::string::npos);
}

TEST_CASE("CPU a packet needs both packets and a process") {
  MeasuredWindow window;
  window.arrived = 1000;
  window.machine_busy = std::chrono::milliseconds(30);
  window.own_cpu = std::chrono::milliseconds(10);
  CHECK_FALSE(relay_us_per_packet(window));
  window.relay_cpu = std::chrono::milliseconds(5);
  CHECK(*relay_us_per_packet(window) == doctest::Approx(5.0));
  CHECK(*machine_us_per_packet(window) == doctest::Approx(20.0));
  window.arrived = 0;
  CHECK_FALSE(relay_us_per_packet(window));
  CHECK_FALSE(machine_us_per_packet(window));
}

namespace {

// Waits until `done`, at most ten seconds.
template <typename Condition>
bool eventually(Condition done) {
  const Instant end = steady_now() + std::chrono::seconds(10);
  while (!done()) {
    if (steady_now() > end) return false;
    ::usleep(1000);
  }
  return true;
}

// A call whose phones are each other's relay: what A sends arrives at B from where B sends to.
Call direct_call(PhoneMaker& maker, uint32_t index) {
  Call call;
  call.index = index;
  REQUIRE(maker.open(call));
  for (size_t side = 0; side < 2; ++side) {
    const Endpoint& other = call.phones[side ^ 1].signalled;
    call.phones[side].relay_rtp = other;
    call.phones[side].relay_rtcp = *other.with_port_offset(1);
  }
  return call;
}

MediaSettings quick_media(uint32_t calls) {
  MediaSettings settings;
  settings.run = 99;
  settings.calls = calls;
  settings.ptime_ms = 2;
  settings.rtcp = true;
  return settings;
}

PhoneMaker loopback_phones() {
  PhoneSettings settings;
  settings.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("127.0.0.1")};
  settings.rtcp = true;
  return PhoneMaker(settings);
}

MediaCounters run_until_drained(MediaEngine& media) {
  CHECK(eventually([&] { return media.counters().arrived >= 200; }));
  media.stop_sending();
  // The sockets hold what is under way: finish() looks at every one of them a last time.
  media.finish();
  return media.counters();
}

}  // namespace

TEST_CASE("phones that hear each other lose nothing") {
  PhoneMaker maker = loopback_phones();
  Call first = direct_call(maker, 0);
  Call second = direct_call(maker, 1);
  MediaEngine media(quick_media(2));
  media.measure_times();
  media.start_call(first);
  media.start_call(second);
  const MediaCounters counters = run_until_drained(media);
  CHECK(counters.sent >= 200);
  CHECK(counters.delivered == counters.sent);
  CHECK(counters.lost() == 0);
  CHECK(counters.misdelivered + counters.wrong_source + counters.foreign == 0);
  CHECK(media.times().one_way_delay.count() == counters.delivered);
  CHECK(media.times().delay_variation.count() > 0);
}

TEST_CASE("a packet that goes to another call or comes from elsewhere is found out") {
  PhoneMaker maker = loopback_phones();
  Call first = direct_call(maker, 0);
  Call second = direct_call(maker, 1);
  // A of the first call speaks to B of the second one.
  first.phones[0].relay_rtp = second.phones[1].signalled;
  MediaEngine media(quick_media(2));
  media.start_call(first);
  media.start_call(second);
  const MediaCounters counters = run_until_drained(media);
  CHECK(counters.misdelivered > 0);
  CHECK(counters.wrong_source >= counters.misdelivered);
  CHECK(counters.lost() >= counters.misdelivered);
}

TEST_CASE("descriptors are reserved, or the error says how many calls fit") {
  CHECK(descriptors_needed(500, true) == 2064);
  CHECK(reserve_descriptors(10, false));
  const auto refused = reserve_descriptors(1'000'000'000'000, true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("expected at most") != std::string::npos);
}

TEST_CASE("limits that were passed are named with both figures") {
  LoadReport report;
  report.media.expected = 1000;
  report.media.delivered = 990;
  report.times.one_way_delay.record(2'000'000);
  report.signalling.latency.record(3'000'000);
  report.standing.emplace().signalling.latency.record(60'000'000);
  struct Case {
    std::string description;
    Thresholds thresholds;
    std::vector<std::string> expected;
  };
  const std::vector<Case> cases = {
      {"no limits", {}, {}},
      {"all kept", {1.0, 2000.0, 60.0}, {}},
      {"loss", {0.5, {}, {}}, {"loss 1 %, at most 0.5 % allowed"}},
      {"none may be lost", {0.0, {}, {}}, {"loss 1 %, at most 0 % allowed"}},
      {"delay", {{}, 1999.0, {}}, {"p99 of the delay 2000 us, at most 1999 us allowed"}},
      {"a command of a standing call counts",
       {{}, {}, 50.0},
       {"slowest command 60 ms, at most 50 ms allowed"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(limits_passed(c.thresholds, report) == c.expected);
  }
  CHECK(limits_passed({0.0, 0.0, {}}, LoadReport{}).empty());
}

TEST_CASE("each profile sends what its kind sends, the same in each run") {
  for (const auto profile : {MediaProfile::g711, MediaProfile::opus, MediaProfile::video}) {
    CAPTURE(name_of(profile));
    CHECK(parse_media_profile(name_of(profile)) == profile);
    int pauses = 0, full = 0, packets_at_most = 0;
    std::set<int> sizes;
    for (uint32_t turn = 0; turn < 5000; ++turn) {
      const Turn sent = turn_of(profile, 7, turn, 160);
      CHECK(sent.last_bytes == turn_of(profile, 7, turn, 160).last_bytes);
      packets_at_most = std::max(packets_at_most, sent.packets);
      if (sent.packets == 0) {
        ++pauses;
        continue;
      }
      if (sent.packets > 1 && sent.payload_bytes == kPayloadBytesMtu) ++full;
      sizes.insert(sent.last_bytes);
    }
    CHECK(*sizes.begin() >= static_cast<int>(kProbeBytes));
    CHECK(*sizes.rbegin() <= kPayloadBytesMtu);
    CHECK((pauses > 0) == (profile == MediaProfile::opus));
    CHECK((full > 0) == (profile == MediaProfile::video));
    CHECK(packets_at_most == (profile == MediaProfile::video ? 12 : 1));
    CHECK((sizes.size() > 1) == (profile != MediaProfile::g711));
  }
  CHECK_FALSE(parse_media_profile("g729"));
}

TEST_CASE("the most calls within the limits are found within 5 %") {
  struct Case {
    std::string description;
    uint32_t first, most, limit;
    uint32_t at_least, at_most;
    bool ended_at_most;
  };
  const std::vector<Case> cases = {
      {"above the first", 100, 50'000, 1234, 1170, 1234, false},
      {"below the first", 1000, 50'000, 77, 73, 77, false},
      {"none", 100, 50'000, 0, 0, 0, false},
      {"one", 100, 50'000, 1, 1, 1, false},
      {"more than there is room for", 100, 700, 9999, 700, 700, true},
      {"exactly what there is room for", 100, 100, 100, 100, 100, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    KneeSearch search(c.first, c.most);
    int tries = 0;
    while (const auto calls = search.next()) {
      REQUIRE(++tries < 40);
      REQUIRE(*calls >= 1);
      REQUIRE(*calls <= c.most);
      search.record(*calls <= c.limit);
    }
    CHECK(search.most_kept() >= c.at_least);
    CHECK(search.most_kept() <= c.at_most);
    CHECK(search.ended_at_most() == c.ended_at_most);
  }
}

TEST_CASE("phones have the addresses that follow, and a share of them is behind NAT") {
  CHECK(address_above(*IpAddress::parse("192.0.2.255"), 1).to_string() == "192.0.3.0");
  CHECK(address_above(*IpAddress::parse("2001:db8::ffff"), 1).to_string() == "2001:db8::1:0");
  PhoneSettings settings;
  settings.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("127.0.0.1")};
  settings.addresses_a_side = 3;
  settings.nat_percent = 50;
  PhoneMaker maker(settings);
  std::set<std::string> addresses;
  int behind_nat = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    Call call;
    call.index = i;
    REQUIRE(maker.open(call));
    for (const Phone& phone : call.phones) {
      addresses.insert(phone.signalled.address.to_string());
      SocketAddress bound;
      REQUIRE(::getsockname(phone.rtp.get(), bound.get(), &bound.length) == 0);
      if (to_endpoint(bound) != phone.signalled) ++behind_nat;
    }
  }
  CHECK(addresses == std::set<std::string>{"127.0.0.1", "127.0.0.2", "127.0.0.3"});
  CHECK(behind_nat == 50);
  CHECK(calls_that_fit(settings) <= 3 * 25'000 / 4 / 2);
}

}  // namespace relay::tools
