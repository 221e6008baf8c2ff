#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {
constexpr size_t kFixedHeaderBytes = 12;
constexpr uint8_t kVersionMask = 0xC0;
constexpr uint8_t kVersion2 = 0x80;
constexpr uint8_t kPaddingBit = 0x20;
constexpr uint8_t kExtensionBit = 0x10;
}  // namespace

std::optional<RtpView> RtpView::parse(Bytes packet) {
  if (packet.size() < kFixedHeaderBytes) return std::nullopt;
  const uint8_t first = byte_at(packet, 0);
  if ((first & kVersionMask) != kVersion2) return std::nullopt;
  size_t header_bytes = kFixedHeaderBytes + size_t{first & 0x0FU} * 4;
  if (packet.size() < header_bytes) return std::nullopt;
  if ((first & kExtensionBit) != 0) {
    if (packet.size() - header_bytes < 4) return std::nullopt;
    const size_t extension_bytes = 4 + size_t{read_be16(packet, header_bytes + 2)} * 4;
    if (packet.size() - header_bytes < extension_bytes) return std::nullopt;
    header_bytes += extension_bytes;
  }
  size_t payload_bytes = packet.size() - header_bytes;
  if ((first & kPaddingBit) != 0) {
    const size_t padding_bytes = byte_at(packet, packet.size() - 1);
    if (padding_bytes == 0 || padding_bytes > payload_bytes) return std::nullopt;
    payload_bytes -= padding_bytes;
  }
  return RtpView(packet, header_bytes, payload_bytes);
}

}  // namespace relay
