#include "tools/rtpp-load/probe.h"

#include <algorithm>
#include <cstring>

#include "relay/base/assert.h"

namespace relay::tools {
namespace {

constexpr uint32_t kMagic = 0x4C4F4144;  // "LOAD"
constexpr size_t kSenderReportBytes = 28;

void put_be16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put_be32(uint8_t* at, uint32_t value) {
  put_be16(at, value >> 16);
  put_be16(at + 2, value);
}
uint32_t get_be32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void write_probe(uint8_t* at, const Probe& probe) {
  const auto sent_ns = static_cast<uint64_t>(probe.sent_ns);
  put_be32(at, kMagic);
  put_be32(at + 4, probe.run);
  put_be32(at + 8, probe.call);
  at[12] = probe.direction;
  at[13] = static_cast<uint8_t>(probe.kind);
  at[14] = probe.warm_up ? 1 : 0;
  at[15] = 0;
  put_be32(at + 16, probe.sequence);
  put_be32(at + 20, static_cast<uint32_t>(sent_ns >> 32));
  put_be32(at + 24, static_cast<uint32_t>(sent_ns));
  put_be32(at + 28, 0);
}

}  // namespace

uint32_t ssrc_of(const Probe& probe) {
  return probe.run ^ (probe.call * 2 + probe.direction) * 0x9E3779B1U;
}

void write_rtp_probe(std::span<uint8_t> packet, const Probe& probe, const RtpMarks& marks) {
  RELAY_ASSERT(packet.size() >= kRtpHeaderBytes + kProbeBytes);
  packet[0] = 0x80;
  packet[1] = static_cast<uint8_t>((marks.marker ? 0x80 : 0) | marks.payload_type);
  put_be16(&packet[2], probe.sequence & 0xFFFF);
  put_be32(&packet[4], marks.timestamp);
  put_be32(&packet[8], ssrc_of(probe));
  write_probe(&packet[kRtpHeaderBytes], probe);
  std::fill(packet.begin() + kRtpHeaderBytes + kProbeBytes, packet.end(), uint8_t{0xFF});
}

void write_rtcp_probe(std::array<uint8_t, kRtcpBytes>& packet, const Probe& probe) {
  packet.fill(0);
  packet[0] = 0x80;
  packet[1] = 200;  // SR without report blocks, RFC 3550 §6.4.1
  put_be16(&packet[2], kSenderReportBytes / 4 - 1);
  put_be32(&packet[4], ssrc_of(probe));
  uint8_t* app = &packet[kSenderReportBytes];
  app[0] = 0x80;
  app[1] = 204;  // APP, RFC 3550 §6.7
  put_be16(app + 2, (12 + kProbeBytes) / 4 - 1);
  put_be32(app + 4, ssrc_of(probe));
  put_be32(app + 8, kMagic);
  write_probe(app + 12, probe);
}

std::optional<Probe> read_probe(std::span<const uint8_t> packet, ProbeKind kind) {
  const size_t offset = kind == ProbeKind::rtp ? kRtpHeaderBytes : kSenderReportBytes + 12;
  if (packet.size() < offset + kProbeBytes) return std::nullopt;
  const uint8_t* at = packet.data() + offset;
  if (get_be32(at) != kMagic || at[13] != static_cast<uint8_t>(kind)) return std::nullopt;
  Probe probe;
  probe.run = get_be32(at + 4);
  probe.call = get_be32(at + 8);
  probe.direction = at[12];
  probe.kind = kind;
  probe.warm_up = at[14] != 0;
  probe.sequence = get_be32(at + 16);
  probe.sent_ns = static_cast<int64_t>(uint64_t{get_be32(at + 20)} << 32 | get_be32(at + 24));
  return probe;
}

}  // namespace relay::tools
