// RTCP compound packets (RFC 3550 §6.1) as a row of packets, and what sender and receiver reports
// say. Views into the packet; pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/rtp/demux.h"

namespace relay {

enum class RtcpType : uint8_t { sender_report = 200, receiver_report = 201 };

// One report block.
struct RtcpBlock {
  uint32_t source_ssrc = 0;
  uint8_t fraction_lost = 0;      // of 256
  int32_t packets_lost = 0;       // 24 bits on the wire; negative when there were duplicates
  uint32_t highest_sequence = 0;  // extended
  uint32_t jitter = 0;            // timestamp units
  uint32_t last_report = 0;       // middle 32 bits of the NTP time of the last sender report
  uint32_t delay_since = 0;       // of that report, in 1/65536 s
};

struct RtcpSenderInfo {
  uint32_t ntp_seconds = 0, ntp_fraction = 0;
  uint32_t rtp_timestamp = 0, packets = 0, octets = 0;
};

// A sender or receiver report.
struct RtcpReport {
  RtcpType type = RtcpType::receiver_report;
  uint32_t ssrc = 0;
  std::optional<RtcpSenderInfo> sender;  // sender reports only
  uint8_t blocks = 0;
  Bytes block_bytes;

  // Requires: n < blocks.
  RtcpBlock block(uint8_t n) const;
};

// Walks the reports of a compound packet; what else is in it is passed over.
class RtcpReports {
 public:
  // Nothing unless every packet of the compound has version 2 and a length that fits, every report
  // has room for the blocks it counts, and nothing is left at the end.
  static std::optional<RtcpReports> parse(Bytes packet);
  // The next one; nothing at the end.
  std::optional<RtcpReport> next();

 private:
  explicit RtcpReports(Bytes packet) : rest_(packet) {}
  Bytes rest_;
};

}  // namespace relay
