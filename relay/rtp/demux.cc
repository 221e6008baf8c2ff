#include "relay/rtp/demux.h"

#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {

constexpr uint32_t kStunMagicCookie = 0x2112A442;
constexpr size_t kStunHeaderBytes = 20;
constexpr size_t kRtcpHeaderBytes = 8;

bool looks_like_rtcp(Bytes packet) {
  const uint8_t type = byte_at(packet, 1);
  if (type < 192 || type > 223 || packet.size() < kRtcpHeaderBytes) return false;
  const size_t first_bytes = (size_t{read_be16(packet, 2)} + 1) * 4;
  return first_bytes <= packet.size();
}

}  // namespace

PacketKind demux(Bytes packet) {
  if (packet.size() < 2) return PacketKind::other;
  const uint8_t first = byte_at(packet, 0);
  if (first >= 128 && first <= 191) {
    const uint8_t type = byte_at(packet, 1);
    if (type >= 192 && type <= 223) {
      return looks_like_rtcp(packet) ? PacketKind::rtcp : PacketKind::other;
    }
    // An SRTP packet may carry the P bit over an encrypted padding count, so padding that does not
    // add up makes the packet no less RTP-shaped: only the analyser calls that an error.
    const size_t fixed_bytes = 12 + size_t{first & 0x0FU} * 4;
    return packet.size() >= fixed_bytes ? PacketKind::rtp : PacketKind::other;
  }
  if (first <= 3 && packet.size() >= kStunHeaderBytes && read_be32(packet, 4) == kStunMagicCookie) {
    return PacketKind::stun;
  }
  if (first >= 20 && first <= 63) return PacketKind::dtls;
  return PacketKind::other;
}

}  // namespace relay
