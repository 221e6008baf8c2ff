#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/media/packet_records.h"

namespace relay {
namespace {

std::string hex(const RecordBuffer& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    constexpr char digits[] = "0123456789abcdef";
    text += digits[static_cast<size_t>(byte) >> 4];
    text += digits[static_cast<size_t>(byte) & 15];
  }
  return text;
}

RecordBuffer from_hex(const std::string& text) {
  RecordBuffer bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Endpoint endpoint(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

RecordedPacket packet_of(const RecordBuffer& payload, const Endpoint& source,
                         const Endpoint& local) {
  RecordedPacket packet;
  packet.source = source;
  packet.local = local;
  packet.wall_ns = 1795224460352404224;
  packet.bytes = payload;
  return packet;
}

TEST_CASE("ad-hoc records are byte for byte those of rtpproxy") {
  struct Case {
    std::string description;
    Endpoint source;
    std::string payload, expected;
  };
  const std::string rtp = "80000007000000001122334441414141414141414141";
  const std::vector<Case> cases = {
      {"one that rtpproxy wrote", endpoint("127.0.0.1", 41000), rtp,
       "0200a0287f000001000000000000000000000000ca8d16e33cc0da411600" + rtp},
      {"IPv6", endpoint("2001:db8::5", 4000), "ff",
       "0a000fa020010db8000000000000000000000005ca8d16e33cc0da410100ff"},
      {"an empty datagram", endpoint("192.0.2.1", 1), "",
       "02000001c0000201000000000000000000000000ca8d16e33cc0da410000"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const RecordBuffer payload = from_hex(c.payload);
    RecordBuffer buffer;
    append_adhoc(packet_of(payload, c.source, endpoint("192.0.2.9", 30000)), buffer);
    CHECK(hex(buffer) == c.expected);
  }
}

TEST_CASE("pcap records are byte for byte those of rtpproxy") {
  RecordBuffer header;
  append_pcap_file_header(header);
  CHECK(hex(header) == "d4c3b2a1020004000000000000000000ffff000001000000");

  struct Case {
    std::string description;
    Endpoint source, local;
    uint16_t id;
    std::string payload, expected;  // from the MAC addresses on
  };
  std::string rtp = "800000090000000011223344";
  for (int i = 0; i < 20; ++i) rtp += "42";
  const std::vector<Case> cases = {
      {"one that rtpproxy wrote", endpoint("127.0.0.1", 42000), endpoint("127.0.0.1", 30000), 0,
       rtp,
       "00007f00000100007f0000010800"
       "4500003c000000007f113daf7f0000017f000001"
       "a410753000288d54" +
           rtp},
      {"an odd length, a wildcard nobody could resolve, another number",
       endpoint("192.0.2.1", 4000), endpoint("0.0.0.0", 30000), 0xABCD, "01",
       "0000000000000000c00002010800"
       "4500001dabcd00007f11ce01c000020100000000"
       "0fa075300009b80a"
       "01"},
      {"IPv6", endpoint("2001:db8::5", 4000), endpoint("2001:db8::9", 30000), 7, "0102",
       "20010db10000"
       "20010dbd0000"
       "86dd"
       "60000000000a1140"
       "20010db8000000000000000000000005"
       "20010db8000000000000000000000009"
       "0fa07530000a1e88"
       "0102"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const RecordBuffer payload = from_hex(c.payload);
    RecordBuffer buffer;
    append_pcap(packet_of(payload, c.source, c.local), c.id, buffer);
    const size_t bytes = c.expected.size() / 2;
    REQUIRE(buffer.size() == 16 + bytes);
    CHECK(hex(buffer).substr(32) == c.expected);
    const std::string length = hex({static_cast<std::byte>(bytes), {}, {}, {}});
    // 1795224460.352404 and twice the length.
    CHECK(hex(buffer).substr(0, 32) == "8cf3006b94600500" + length + length);
  }
}

TEST_CASE("a UDP checksum of zero is written as all ones") {
  // The payload makes the sum come out as 0xFFFF.
  RecordBuffer payload = from_hex("0000");
  const Endpoint source = endpoint("192.0.2.1", 4000), local = endpoint("192.0.2.2", 4002);
  RecordBuffer buffer;
  append_pcap(packet_of(payload, source, local), 0, buffer);
  const size_t checksum_at = 16 + 14 + 20 + 6;
  // What was left to all ones becomes the payload: the complement of the sum so far.
  payload = {buffer[checksum_at], buffer[checksum_at + 1]};
  buffer.clear();
  append_pcap(packet_of(payload, source, local), 0, buffer);
  CHECK(hex({buffer[checksum_at], buffer[checksum_at + 1]}) == "ffff");
}

}  // namespace
}  // namespace relay
