// Reading recordings: file formats, SRTP, the statistics of a direction.
#include <doctest/doctest.h>
#include <srtp2/srtp.h>

#include <string>
#include <vector>

#include "tests/support/recording_builder.h"
#include "tests/support/temporary_directory.h"
#include "tools/rtpp-extractaudio/capture.h"
#include "tools/rtpp-extractaudio/srtp_stream.h"
#include "tools/rtpp-extractaudio/statistics.h"

namespace relay::tools {
namespace {

using namespace testing;

constexpr int64_t kStartNs = 1'700'000'000'250'000'000;

Packet voice(uint16_t sequence) {
  return rtp_packet({.sequence = sequence, .timestamp = sequence * 160U});
}

bool is(Bytes packet, const Packet& expected) {
  return std::equal(packet.begin(), packet.end(), expected.begin(), expected.end());
}

}  // namespace

TEST_CASE("ad-hoc records are read, RTP only") {
  const TemporaryDirectory directory;
  const std::string path = directory.write(
      "a.rtp", ad_hoc_record(1.7e9 + 0.25, voice(1)) + ad_hoc_record(1.7e9 + 0.27, voice(2), true) +
                   ad_hoc_record(1.7e9 + 0.28, rtcp_packet()) +
                   ad_hoc_record(1.7e9 + 0.29, Packet{}) + ad_hoc_record(1.7e9 + 0.31, voice(3)));
  auto capture = read_capture(path);
  REQUIRE(capture);
  REQUIRE(capture->size() == 3);
  CHECK(capture->damage.empty());
  for (uint16_t i = 0; i < 3; ++i)
    CHECK(is(capture->packet(i), voice(static_cast<uint16_t>(i + 1))));
  CHECK(std::abs(capture->arrival_ns(0) - kStartNs) < 1000);
  CHECK(std::abs(capture->arrival_ns(1) - kStartNs - 20'000'000) < 1000);
}

TEST_CASE("a recording that breaks off gives what came before") {
  const std::string whole = ad_hoc_record(1, voice(1));
  const std::string pcap =
      pcap_head({}) +
      pcap_record({}, kStartNs,
                  std::string(14, '\0') + ipv4_packet(udp_datagram(text_of(voice(1)))));
  struct Case {
    std::string description;
    std::string content;
    std::string damage;  // part of it
  };
  const std::vector<Case> cases = {
      {"in the head of a record", whole + whole.substr(0, 29), "a cut record at byte 202"},
      {"in a payload", whole + whole.substr(0, 100), "a cut record at byte 202"},
      {"with another family", whole + "xx" + whole.substr(2), "no record at byte 202"},
      {"with a time that is no number",
       whole + whole.substr(0, 20) + native(0.0 / 0.0) + whole.substr(28), "no record at byte 202"},
      {"in a pcap record's head", pcap + pcap.substr(24, 10), "truncated"},
      {"in a pcap record's frame", pcap + pcap.substr(24, 100), "truncated"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    const auto capture = read_capture(directory.write("a.rtp", c.content));
    REQUIRE(capture);
    CHECK(capture->size() == 1);
    CAPTURE(capture->damage);
    CHECK(capture->damage.find(c.damage) != std::string::npos);
  }
}

TEST_CASE("what is no recording is refused") {
  struct Case {
    std::string description;
    std::string content;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"an empty file", "", "empty"},
      {"text", "This is no recording but a text that somebody wrote.", "neither"},
      {"a pcap magic alone", pcap_head({}).substr(0, 4), "truncated"},
      {"a link type without IP", pcap_head({.link_type = 195}), "link type"},
      {"a pcap of another version", pcap_head({}).replace(4, 2, native(uint16_t{9})), "version"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    const auto capture = read_capture(directory.write("a.rtp", c.content));
    REQUIRE_FALSE(capture);
    CAPTURE(capture.error().message);
    CHECK(capture.error().message.find(c.expected) != std::string::npos);
  }
  CHECK_FALSE(read_capture("/nonexistent"));
}

TEST_CASE("pcap of every kind is read") {
  const std::string datagram = udp_datagram(text_of(voice(7)));
  const std::string ethernet(12, '\x02');
  struct Case {
    std::string description;
    PcapLayout layout;
    std::string frame;
    size_t packets;
  };
  const std::vector<Case> cases = {
      {"Ethernet, IPv4", {}, ethernet + big(0x0800, 2) + ipv4_packet(datagram), 1},
      {"Ethernet, IPv6", {}, ethernet + big(0x86DD, 2) + ipv6_packet(datagram), 1},
      {"a VLAN tag", {}, ethernet + big(0x81000005, 4) + big(0x0800, 2) + ipv4_packet(datagram), 1},
      {"two VLAN tags",
       {},
       ethernet + big(0x88A80005, 4) + big(0x81000005, 4) + big(0x86DD, 2) + ipv6_packet(datagram),
       1},
      {"the other byte order",
       {.swapped = true},
       ethernet + big(0x0800, 2) + ipv4_packet(datagram),
       1},
      {"nanoseconds", {.nanoseconds = true}, ethernet + big(0x0800, 2) + ipv4_packet(datagram), 1},
      {"nanoseconds in the other byte order",
       {.nanoseconds = true, .swapped = true},
       ethernet + big(0x0800, 2) + ipv4_packet(datagram),
       1},
      {"BSD loopback", {.link_type = 0}, native(2) + ipv4_packet(datagram), 1},
      {"BSD loopback, IPv6", {.link_type = 0}, native(30) + ipv6_packet(datagram), 1},
      {"raw IP", {.link_type = 101}, ipv4_packet(datagram), 1},
      {"raw IPv6", {.link_type = 101}, ipv6_packet(datagram), 1},
      {"Linux cooked", {.link_type = 113}, std::string(16, '\0') + ipv4_packet(datagram), 1},
      {"padding of a short frame",
       {},
       ethernet + big(0x0800, 2) + ipv4_packet(datagram) + std::string(6, '\xFF'),
       1},
      {"TCP", {.link_type = 101}, ipv4_packet(datagram, 0, 6), 0},
      {"a first fragment", {.link_type = 101}, ipv4_packet(datagram, 0x2000), 0},
      {"a later fragment", {.link_type = 101}, ipv4_packet(datagram, 0x0010), 0},
      {"ARP", {}, ethernet + big(0x0806, 2) + std::string(28, '\0'), 0},
      {"a cut Ethernet header", {}, "short", 0},
      {"a cut IPv4 header", {.link_type = 101}, ipv4_packet(datagram).substr(0, 19), 0},
      {"a cut UDP header", {.link_type = 101}, ipv4_packet(datagram).substr(0, 27), 0},
      {"a UDP length of 3", {.link_type = 101}, ipv4_packet(big(0, 4) + big(3, 2) + big(0, 2)), 0},
      {"an IPv4 header of 4 bytes",
       {.link_type = 101},
       "\x41" + ipv4_packet(datagram).substr(1),
       0},
      {"an empty frame", {.link_type = 101}, "", 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    const std::string path = directory.write(
        "a.pcap", pcap_head(c.layout) + pcap_record(c.layout, kStartNs + 1000, c.frame));
    const auto capture = read_capture(path);
    REQUIRE(capture);
    CHECK(capture->damage.empty());
    REQUIRE(capture->size() == c.packets);
    if (c.packets == 0) continue;
    CHECK(is(capture->packet(0), voice(7)));
    CHECK(capture->arrival_ns(0) == kStartNs + 1000);
  }
}

TEST_CASE("a pcap file without packets is no error") {
  const TemporaryDirectory directory;
  const auto capture = read_capture(directory.write("a.pcap", pcap_head({})));
  REQUIRE(capture);
  CHECK(capture->size() == 0);
  CHECK(capture->damage.empty());
}

TEST_CASE("statistics say what rtpproxy's extractaudio says") {
  struct Packets {
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    int64_t at_ms;
  };
  struct Case {
    std::string description;
    std::vector<Packets> packets;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"one packet",
       {{10, 0, 0xABC, 0}},
       "pcount=1, min_seq=10, max_seq=10, seq_offset=0, ssrc=0x00000ABC, duplicates=0\n"
       "ssrc_changes=1, psent=1, precvd=1, plost=0\n"},
      {"a loss and a duplicate",
       {{10, 0, 1, 0}, {11, 160, 1, 20}, {11, 160, 1, 20}, {13, 480, 1, 60}},
       "pcount=3, min_seq=10, max_seq=13, seq_offset=0, ssrc=0x00000001, duplicates=1\n"
       "ssrc_changes=1, psent=4, precvd=3, plost=1\n"
       "last_jitter=0.000000,average_jitter=0.000000,max_jitter=0.000000\n"},
      {"a wrap",
       {{65535, 0, 1, 0}, {0, 160, 1, 20}},
       "pcount=2, min_seq=65535, max_seq=65536, seq_offset=65536, ssrc=0x00000001, duplicates=0\n"
       "ssrc_changes=1, psent=2, precvd=2, plost=0\n"
       "last_jitter=0.000000,average_jitter=0.000000,max_jitter=0.000000\n"},
      {"another SSRC, which the first line is of",
       {{1, 0, 1, 0}, {2, 160, 1, 20}, {100, 0, 0xFFFFFFFF, 40}},
       "pcount=1, min_seq=100, max_seq=100, seq_offset=0, ssrc=0xFFFFFFFF, duplicates=0\n"
       "ssrc_changes=2, psent=3, precvd=3, plost=0\n"
       "last_jitter=0.000000,average_jitter=0.000000,max_jitter=0.000000\n"},
      // 2 ms late are 16 units, of which a sixteenth counts.
      {"jitter",
       {{1, 0, 1, 0}, {2, 160, 1, 22}},
       "pcount=2, min_seq=1, max_seq=2, seq_offset=0, ssrc=0x00000001, duplicates=0\n"
       "ssrc_changes=1, psent=2, precvd=2, plost=0\n"
       "last_jitter=1.000000,average_jitter=1.000000,max_jitter=1.000000\n"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Capture capture;
    for (const Packets& p : c.packets) {
      capture.add(kStartNs + p.at_ms * 1'000'000,
                  rtp_packet({.sequence = p.sequence, .timestamp = p.timestamp, .ssrc = p.ssrc}));
    }
    CHECK(describe(capture) == c.expected);
  }
}

namespace {

constexpr char kKey[] = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
constexpr char kOtherKey[] = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkx";
constexpr char kKeyBytes[] = "123456789012345678901234567890";

class SrtpSender {
 public:
  explicit SrtpSender(bool short_tag) {
    // libsrtp2 can be set up once only, which decrypt() does.
    Capture nothing;
    REQUIRE(decrypt(nothing, {}));
    srtp_policy_t policy{};
    if (short_tag) {
      srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);
    } else {
      srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
    }
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = ssrc_any_outbound;
    std::memcpy(key_, kKeyBytes, sizeof key_);
    policy.key = key_;
    REQUIRE(srtp_create(&session_, &policy) == srtp_err_status_ok);
  }
  ~SrtpSender() { srtp_dealloc(session_); }
  SrtpSender(const SrtpSender&) = delete;
  SrtpSender& operator=(const SrtpSender&) = delete;

  Packet protect(Packet packet) {
    int bytes = static_cast<int>(packet.size());
    packet.resize(packet.size() + SRTP_MAX_TRAILER_LEN);
    REQUIRE(srtp_protect(session_, packet.data(), &bytes) == srtp_err_status_ok);
    packet.resize(static_cast<size_t>(bytes));
    return packet;
  }

 private:
  srtp_t session_ = nullptr;
  unsigned char key_[30];
};

}  // namespace

TEST_CASE("SRTP is decrypted with its key only") {
  for (const bool short_tag : {false, true}) {
    const std::string suite = short_tag ? "AES_CM_128_HMAC_SHA1_32:" : "AES_CM_128_HMAC_SHA1_80:";
    CAPTURE(suite);
    SrtpSender sender(short_tag);
    std::vector<Packet> sent;
    for (uint16_t i = 65530; i != 20; ++i) sent.push_back(sender.protect(voice(i)));
    Capture capture, stranger;
    for (const Packet& packet : sent) stranger.add(0, packet);
    std::swap(sent[3], sent[4]);              // out of order,
    sent.insert(sent.begin() + 10, sent[9]);  // repeated,
    sent[12][50] ^= std::byte{1};             // and damaged
    for (const Packet& packet : sent) capture.add(0, packet);

    const auto key = parse_srtp_key(suite + kKey);
    REQUIRE(key);
    const auto result = decrypt(capture, *key);
    REQUIRE(result);
    CHECK(result->decrypted == 25);
    CHECK(result->refused == 1);
    CHECK(is(capture.packet(0), voice(65530)));
    CHECK(is(capture.packet(3), voice(65534)));
    CHECK(is(capture.packet(4), voice(65533)));
    CHECK(is(capture.packet(26), voice(19)));
    // The statistics see every packet.
    CHECK(describe(capture).find("pcount=26, min_seq=65530, max_seq=65555, seq_offset=65536, "
                                 "ssrc=0x11111111, duplicates=1\n") == 0);

    const auto refused = decrypt(stranger, *parse_srtp_key(suite + kOtherKey));
    REQUIRE(refused);
    CHECK(refused->decrypted == 0);
    CHECK(refused->refused == 26);
  }
}

TEST_CASE("keys of SRTP are checked, and not repeated in messages") {
  struct Case {
    std::string description;
    std::string text;
    std::string expected;  // part of the message; empty: none
  };
  const std::string suite = "AES_CM_128_HMAC_SHA1_80:";
  const std::vector<Case> cases = {
      {"good", suite + kKey, ""},
      {"no suite", kKey, "expected AES_CM_128_HMAC_SHA1_80:KEY"},
      {"another suite", std::string("F8_128_HMAC_SHA1_80:") + kKey, "'F8_128_HMAC_SHA1_80'"},
      {"no key", suite, "0 characters"},
      {"a short key", suite + std::string(kKey).substr(4), "36 characters"},
      {"padding", suite + std::string(kKey).substr(0, 38) + "==", "expected 30 bytes"},
      {"no base64", suite + std::string(40, '*'), "expected 30 bytes"},
      {"blanks", suite + std::string(kKey).substr(0, 38) + "  ", "expected 30 bytes"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto key = parse_srtp_key(c.text);
    CHECK(key.has_value() == c.expected.empty());
    if (key) continue;
    CHECK(key.error().message.find(c.expected) != std::string::npos);
    CHECK(key.error().message.find("MTIzNDU2Nzg5") == std::string::npos);
  }
}

}  // namespace relay::tools
