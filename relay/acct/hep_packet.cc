// A chunk is vendor (0: generic), type, length with this head, value; all in network order.
#include "relay/acct/hep_packet.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace relay {
namespace {

constexpr size_t kChunkHeadBytes = 6;
constexpr size_t kPacketBytesMax = 65535;

enum class Chunk : uint16_t {
  address_family = 0x01,
  protocol = 0x02,
  source_ipv4 = 0x03,
  destination_ipv4 = 0x04,
  source_ipv6 = 0x05,
  destination_ipv6 = 0x06,
  source_port = 0x07,
  destination_port = 0x08,
  seconds = 0x09,
  microseconds = 0x0A,
  payload_kind = 0x0B,
  capture_id = 0x0C,
  payload = 0x0F,
  correlation_id = 0x11,
};
constexpr uint8_t kRtcpJson = 5;

void append_be(std::string& packet, uint64_t value, size_t bytes) {
  for (size_t i = bytes; i > 0; --i) packet += static_cast<char>(value >> (8 * (i - 1)));
}

void append_head(std::string& packet, Chunk type, size_t value_bytes) {
  append_be(packet, 0, 2);
  append_be(packet, static_cast<uint16_t>(type), 2);
  append_be(packet, kChunkHeadBytes + value_bytes, 2);
}

void append_number(std::string& packet, Chunk type, uint64_t value, size_t bytes) {
  append_head(packet, type, bytes);
  append_be(packet, value, bytes);
}

void append_text(std::string& packet, Chunk type, std::string_view text) {
  append_head(packet, type, text.size());
  packet += text;
}

void append_address(std::string& packet, Chunk ipv4, Chunk ipv6, const IpAddress& address) {
  const auto* bytes = reinterpret_cast<const char*>(address.bytes().data());
  append_text(packet, address.is_ipv6() ? ipv6 : ipv4, {bytes, address.is_ipv6() ? 16U : 4U});
}

}  // namespace

std::string hep_packet(const HepReport& report) {
  const IpAddress& source = report.source.address;
  const IpAddress& destination = report.destination.address;
  if (!source.valid() || source.family() != destination.family()) return {};
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(report.since_1970).count();
  std::string packet = "HEP3";
  append_be(packet, 0, 2);  // the length, below
  append_number(packet, Chunk::address_family, source.is_ipv6() ? AF_INET6 : AF_INET, 1);
  append_number(packet, Chunk::protocol, IPPROTO_UDP, 1);
  append_address(packet, Chunk::source_ipv4, Chunk::source_ipv6, source);
  append_address(packet, Chunk::destination_ipv4, Chunk::destination_ipv6, destination);
  append_number(packet, Chunk::source_port, report.source.port, 2);
  append_number(packet, Chunk::destination_port, report.destination.port, 2);
  append_number(packet, Chunk::seconds, static_cast<uint64_t>(us / 1'000'000), 4);
  append_number(packet, Chunk::microseconds, static_cast<uint64_t>(us % 1'000'000), 4);
  append_number(packet, Chunk::payload_kind, kRtcpJson, 1);
  append_number(packet, Chunk::capture_id, report.capture_id, 4);
  append_text(packet, Chunk::correlation_id, report.call_id);
  append_text(packet, Chunk::payload, report.payload);
  if (packet.size() > kPacketBytesMax) return {};
  packet[4] = static_cast<char>(packet.size() >> 8);
  packet[5] = static_cast<char>(packet.size());
  return packet;
}

}  // namespace relay
