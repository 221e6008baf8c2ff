#include "relay/rtp/rtcp.h"

#include "relay/base/assert.h"

namespace relay {
namespace {

constexpr size_t kHeaderBytes = 4;
constexpr size_t kSsrcBytes = 4;
constexpr size_t kSenderBytes = 20;
constexpr size_t kBlockBytes = 24;

// Where the packet ends whose header is at the front; 0: not a packet.
size_t packet_bytes(Bytes packet) {
  if (packet.size() < kHeaderBytes || byte_at(packet, 0) >> 6 != 2) return 0;
  const size_t bytes = kHeaderBytes + size_t{4} * read_be16(packet, 2);
  return bytes <= packet.size() ? bytes : 0;
}

bool is_report(Bytes packet) {
  const uint8_t type = byte_at(packet, 1);
  return type == static_cast<uint8_t>(RtcpType::sender_report) ||
         type == static_cast<uint8_t>(RtcpType::receiver_report);
}

size_t blocks_offset(Bytes packet) {
  const bool from_sender = byte_at(packet, 1) == static_cast<uint8_t>(RtcpType::sender_report);
  return kHeaderBytes + kSsrcBytes + (from_sender ? kSenderBytes : 0);
}

uint8_t block_count(Bytes packet) {
  return byte_at(packet, 0) & 0x1F;
}

// Requires: one whole packet that is a report with room for all of it.
RtcpReport to_report(Bytes packet) {
  RtcpReport report;
  report.type = static_cast<RtcpType>(byte_at(packet, 1));
  report.ssrc = read_be32(packet, 4);
  if (report.type == RtcpType::sender_report) {
    report.sender =
        RtcpSenderInfo{read_be32(packet, 8), read_be32(packet, 12), read_be32(packet, 16),
                       read_be32(packet, 20), read_be32(packet, 24)};
  }
  report.blocks = block_count(packet);
  report.block_bytes = packet.subspan(blocks_offset(packet), report.blocks * kBlockBytes);
  return report;
}

}  // namespace

RtcpBlock RtcpReport::block(uint8_t n) const {
  RELAY_ASSERT(n < blocks);
  const Bytes bytes = block_bytes.subspan(n * kBlockBytes, kBlockBytes);
  RtcpBlock block;
  block.source_ssrc = read_be32(bytes, 0);
  block.fraction_lost = byte_at(bytes, 4);
  // Its sign bit moves to the top and back.
  block.packets_lost = static_cast<int32_t>(read_be32(bytes, 4) << 8) >> 8;
  block.highest_sequence = read_be32(bytes, 8);
  block.jitter = read_be32(bytes, 12);
  block.last_report = read_be32(bytes, 16);
  block.delay_since = read_be32(bytes, 20);
  return block;
}

std::optional<RtcpReports> RtcpReports::parse(Bytes packet) {
  if (packet.empty()) return std::nullopt;
  for (Bytes rest = packet; !rest.empty();) {
    const size_t bytes = packet_bytes(rest);
    if (bytes == 0) return std::nullopt;
    const Bytes one = rest.first(bytes);
    if (is_report(one) && blocks_offset(one) + block_count(one) * kBlockBytes > bytes) {
      return std::nullopt;
    }
    rest = rest.subspan(bytes);
  }
  return RtcpReports(packet);
}

std::optional<RtcpReport> RtcpReports::next() {
  while (!rest_.empty()) {
    const Bytes one = rest_.first(packet_bytes(rest_));
    rest_ = rest_.subspan(one.size());
    if (is_report(one)) return to_report(one);
  }
  return std::nullopt;
}

}  // namespace relay
