// RTP and RTCP packets for tests, built field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "relay/rtp/demux.h"

namespace relay::testing {

using Packet = std::vector<std::byte>;

inline void append_be16(Packet& packet, uint16_t value) {
  packet.push_back(static_cast<std::byte>(value >> 8));
  packet.push_back(static_cast<std::byte>(value & 0xFF));
}

inline void append_be32(Packet& packet, uint32_t value) {
  append_be16(packet, static_cast<uint16_t>(value >> 16));
  append_be16(packet, static_cast<uint16_t>(value & 0xFFFF));
}

struct RtpFields {
  uint16_t sequence = 1;
  uint32_t timestamp = 160;
  uint32_t ssrc = 0x11111111;
  uint8_t payload_type = 0;
  bool marker = false;
  size_t payload_bytes = 160;
};

inline Packet rtp_packet(const RtpFields& fields) {
  Packet packet;
  packet.reserve(12 + fields.payload_bytes);
  packet.push_back(std::byte{0x80});
  packet.push_back(static_cast<std::byte>((fields.marker ? 0x80 : 0) | fields.payload_type));
  append_be16(packet, fields.sequence);
  append_be32(packet, fields.timestamp);
  append_be32(packet, fields.ssrc);
  packet.resize(12 + fields.payload_bytes, std::byte{0xD5});
  return packet;
}

// A receiver report without report blocks, RFC 3550 §6.4.2.
inline Packet rtcp_packet(uint32_t ssrc = 0x11111111) {
  Packet packet{std::byte{0x80}, std::byte{201}};
  append_be16(packet, 1);
  append_be32(packet, ssrc);
  return packet;
}

struct ReportFields {
  uint32_t ssrc = 0x11111111;
  bool from_sender = false;
  // As RtcpSenderInfo.
  uint32_t ntp_seconds = 0, ntp_fraction = 0, rtp_timestamp = 0, packets = 0, octets = 0;
  // Each as RtcpBlock: SSRC, fraction, lost (24 bits), highest, jitter, LSR, DLSR.
  std::vector<std::vector<uint32_t>> blocks;
};

// RFC 3550 §6.4.1 and 6.4.2.
inline Packet report_packet(const ReportFields& fields) {
  const size_t words = (fields.from_sender ? 6 : 1) + 6 * fields.blocks.size();
  Packet packet{static_cast<std::byte>(0x80 | fields.blocks.size()),
                std::byte{fields.from_sender ? uint8_t{200} : uint8_t{201}}};
  append_be16(packet, static_cast<uint16_t>(words));
  append_be32(packet, fields.ssrc);
  if (fields.from_sender) {
    for (const uint32_t word : {fields.ntp_seconds, fields.ntp_fraction, fields.rtp_timestamp,
                                fields.packets, fields.octets}) {
      append_be32(packet, word);
    }
  }
  for (const auto& block : fields.blocks) {
    append_be32(packet, block.at(0));
    append_be32(packet, block.at(1) << 24 | (block.at(2) & 0xFFFFFF));
    for (size_t i = 3; i < 7; ++i) append_be32(packet, block.at(i));
  }
  return packet;
}

// SDES with one CNAME, RFC 3550 §6.5.
inline Packet cname_packet(uint32_t ssrc) {
  Packet packet{std::byte{0x81}, std::byte{202}};
  append_be16(packet, 3);
  append_be32(packet, ssrc);
  constexpr std::string_view kItem(
      "\x01\x04"
      "a@bc\0\0",
      8);
  for (const char c : kItem) packet.push_back(static_cast<std::byte>(c));
  return packet;
}

inline Packet operator+(Packet one, const Packet& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

}  // namespace relay::testing
