// What kind of packet shares a media port: RFC 7983 (first byte) and RFC 5761 §4 (RTP or RTCP).
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace relay {

using Bytes = std::span<const std::byte>;

enum class PacketKind : uint8_t {
  rtp,    // version 2, a well-formed header (SRTP looks the same)
  rtcp,   // version 2, payload type 192..223, a well-formed first header (SRTCP looks the same)
  stun,   // first byte 0..3, magic cookie of RFC 8489 §5
  dtls,   // first byte 20..63
  other,  // UDPTL, ZRTP, TURN channels, keep-alives, garbage: opaque
};

PacketKind demux(Bytes packet);

inline uint8_t byte_at(Bytes bytes, size_t offset) {
  return static_cast<uint8_t>(bytes[offset]);
}
inline uint16_t read_be16(Bytes bytes, size_t offset) {
  return static_cast<uint16_t>((byte_at(bytes, offset) << 8) | byte_at(bytes, offset + 1));
}
inline uint32_t read_be32(Bytes bytes, size_t offset) {
  return (uint32_t{read_be16(bytes, offset)} << 16) | read_be16(bytes, offset + 2);
}
inline void write_be16(std::span<std::byte> out, size_t at, uint16_t value) {
  out[at] = static_cast<std::byte>(value >> 8);
  out[at + 1] = static_cast<std::byte>(value & 0xFF);
}
inline void write_be32(std::span<std::byte> out, size_t at, uint32_t value) {
  write_be16(out, at, static_cast<uint16_t>(value >> 16));
  write_be16(out, at + 2, static_cast<uint16_t>(value & 0xFFFF));
}

}  // namespace relay
