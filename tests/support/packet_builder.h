// RTP and RTCP packets for tests, built field by field.
#pragma once

#include <cstddef>
#include <cstdint>
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

}  // namespace relay::testing
