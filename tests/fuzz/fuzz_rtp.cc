// Any bytes as the packets of one media port: demux, header view, analyser and RTCP reports agree,
// stay inside the packet, and the analyser's totals stay sane.
//
// The input is a row of packets: one byte length, one byte gap to the packet before in units of
// 4 ms, then the bytes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "relay/base/assert.h"
#include "relay/rtp/analyser.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/rtcp.h"
#include "relay/rtp/rtp_header.h"

namespace {

using relay::Bytes;
using relay::PacketKind;

void check_view(Bytes packet) {
  const PacketKind kind = relay::demux(packet);
  const auto view = relay::RtpView::parse(packet);
  if (!view) return;
  // RTCP's payload types are the only version 2 packets that are not RTP (RFC 5761 §4).
  const uint8_t type = relay::byte_at(packet, 1);
  const bool rtcp_type = type >= 192 && type <= 223;
  RELAY_ASSERT((kind == PacketKind::rtp) == !rtcp_type);
  const Bytes payload = view->payload();
  RELAY_ASSERT(payload.data() >= packet.data() + 12);
  RELAY_ASSERT(payload.data() + payload.size() <= packet.data() + packet.size());
  RELAY_ASSERT(view->payload_type() <= 127);
}

void check_reports(Bytes packet) {
  auto reports = relay::RtcpReports::parse(packet);
  if (!reports) return;
  size_t bytes = 0;
  while (const auto report = reports->next()) {
    for (uint8_t n = 0; n < report->blocks; ++n) {
      const relay::RtcpBlock block = report->block(n);
      RELAY_ASSERT(block.packets_lost >= -(1 << 23) && block.packets_lost < 1 << 23);
    }
    RELAY_ASSERT(report->block_bytes.size() == report->blocks * size_t{24});
    bytes += report->block_bytes.size() + 8;
  }
  RELAY_ASSERT(bytes <= packet.size());
}

void check_totals(const relay::AnalyserTotals& totals, uint64_t fed) {
  RELAY_ASSERT(totals.sent >= totals.received);
  RELAY_ASSERT(totals.received + totals.duplicates + totals.parse_errors == fed);
  RELAY_ASSERT(totals.ssrc_changes <= fed);
  RELAY_ASSERT(std::isfinite(totals.jitter_last) && totals.jitter_last >= 0);
  RELAY_ASSERT(std::isfinite(totals.jitter_average) && totals.jitter_average >= 0);
  RELAY_ASSERT(totals.jitter_max >= totals.jitter_last);
  RELAY_ASSERT(totals.longest_gap >= relay::Duration{0});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes input = std::as_bytes(std::span(data, size));
  relay::RtpAnalyser analyser;
  relay::Instant now{};
  uint64_t fed = 0;
  while (input.size() >= 2) {
    const size_t packet_bytes = std::min<size_t>(relay::byte_at(input, 0), input.size() - 2);
    now += std::chrono::milliseconds(4 * relay::byte_at(input, 1));
    const Bytes packet = input.subspan(2, packet_bytes);
    input = input.subspan(2 + packet_bytes);
    check_view(packet);
    check_reports(packet);
    if (relay::demux(packet) != PacketKind::rtp) continue;
    analyser.on_packet(packet, now);
    ++fed;
  }
  check_totals(analyser.totals(), fed);
  return 0;
}
