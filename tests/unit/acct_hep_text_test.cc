// RTCP reports as JSON, and HEPv3 packets around them.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "relay/acct/hep_packet.h"
#include "relay/acct/rtcp_json.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using testing::operator+;
using testing::report_packet;

Endpoint endpoint(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("a sender report is rtpproxy's JSON to the byte") {
  const testing::Packet packet =
      report_packet({.ssrc = 1309239164,
                     .from_sender = true,
                     .ntp_seconds = 3738098587,
                     .ntp_fraction = 3798737781,
                     .rtp_timestamp = 191072,
                     .packets = 1190,
                     .octets = 23800,
                     .blocks = {{2005674503, 0, 2, 31520, 2, 2976541490, 252406}}});
  CHECK(rtcp_json(packet + testing::cname_packet(1309239164)) == R"({
 "ssrc": 1309239164,
 "sender_information": {
  "ntp_timestamp_sec": 3738098587,
  "ntp_timestamp_usec": 3798737781,
  "rtp_timestamp": 191072,
  "packets": 1190,
  "octets": 23800
 },
 "type": 200,
 "report_blocks": [
  {
   "source_ssrc": 2005674503,
   "fraction_lost": 0,
   "packets_lost": 2,
   "highest_seq_no": 31520,
   "ia_jitter": 2,
   "lsr": 2976541490,
   "dlsr": 252406
  }
 ],
 "report_count": 1
}
)");
}

TEST_CASE("receiver reports, with two blocks and with none") {
  const std::vector<uint32_t> block = {1, 2, 0xFFFFFD, 4, 5, 6, 7};
  const std::string text = rtcp_json(report_packet({.ssrc = 8, .blocks = {block, block}}) +
                                     report_packet({.ssrc = 9, .blocks = {}}));
  const std::string block_text =
      "  {\n   \"source_ssrc\": 1,\n   \"fraction_lost\": 2,\n   \"packets_lost\": -3,\n"
      "   \"highest_seq_no\": 4,\n   \"ia_jitter\": 5,\n   \"lsr\": 6,\n   \"dlsr\": 7\n  }\n";
  CHECK(text == "{\n \"ssrc\": 8,\n \"type\": 201,\n \"report_blocks\": [\n" + block_text +
                    "  ,\n" + block_text + " ],\n \"report_count\": 2\n}\n" +
                    "{\n \"ssrc\": 9,\n \"type\": 201,\n \"report_count\": 0\n}\n");
  CHECK(nlohmann::json::parse(text.substr(0, text.rfind("{\n \"ssrc\": 9"))).size() == 4);
}

TEST_CASE("what is no report gives no text") {
  CHECK(rtcp_json(testing::cname_packet(1)).empty());
  CHECK(rtcp_json({}).empty());
  testing::Packet cut = testing::rtcp_packet();
  cut.pop_back();
  CHECK(rtcp_json(cut).empty());
}

TEST_CASE("a HEP packet, byte by byte") {
  HepReport report{endpoint("192.0.2.1", 4001),
                   endpoint("198.51.100.2", 30001),
                   seconds(1'795'224'954) + microseconds(7),
                   0x01020304,
                   "call",
                   "{}"};
  CHECK(hex(hep_packet(report)) ==
        "48455033"  // HEP3
        "006f"
        "00000001000702"
        "00000002000711"
        "00000003000ac0000201"
        "00000004000ac6336402"
        "0000000700080fa1"
        "0000000800087531"
        "00000009000a6b00f57a"
        "0000000a000a00000007"
        "0000000b000705"
        "0000000c000a01020304"
        "00000011000a63616c6c"
        "0000000f00087b7d");
  report.source = endpoint("2001:db8::1", 4001);
  CHECK(hep_packet(report).empty());
  report.destination = endpoint("2001:db8::2", 30001);
  const std::string ipv6 = hex(hep_packet(report));
  CHECK(ipv6.find("0000000100070a") == 12);
  CHECK(ipv6.find("00000005001620010db8000000000000000000000001") != ipv6.npos);
  CHECK(ipv6.find("00000006001620010db8000000000000000000000002") != ipv6.npos);
}

TEST_CASE("what HEP cannot say is left unsaid") {
  const std::string long_text(65535, 'x');
  HepReport report{
      endpoint("192.0.2.1", 1), endpoint("192.0.2.2", 2), seconds(1), 0, long_text, "{}"};
  CHECK(hep_packet(report).empty());
  report.call_id = std::string_view(long_text).substr(0, 65000);
  CHECK(hep_packet(report).size() > 65000);
  report.destination = {};
  CHECK(hep_packet(report).empty());
}

}  // namespace relay
