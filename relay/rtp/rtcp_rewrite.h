// Changes to compound RTCP (RFC 3550 §6) that passes through, and a sender report of our own. What
// does not add up is left as it is. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/rtp/demux.h"

namespace relay {

// The results lie in `out`, which must not overlap `packet` and is at least as large.

// With so much added to the packet and octet counts of the sender reports of `ssrc`. All wrap.
Bytes with_sender_counts(Bytes packet, uint32_t ssrc, uint32_t packets, uint32_t octets,
                         std::span<std::byte> out);
// Without BYE. Empty when nothing is left.
Bytes without_goodbye(Bytes packet, std::span<std::byte> out);
// Of somebody who sends nothing: without BYE, and with receiver reports for sender reports.
Bytes without_sender(Bytes packet, std::span<std::byte> out);

struct SenderReport {
  uint32_t ssrc = 0;
  uint64_t ntp = 0;  // 32.32 bits, seconds since 1900
  uint32_t timestamp = 0, packets = 0, octets = 0;
};
inline constexpr size_t kSenderReportBytes = 48;
// With a CNAME made of the SSRC: RFC 3550 §6.1 wants one in each report.
Bytes write_sender_report(const SenderReport& report, std::span<std::byte, kSenderReportBytes> out);

}  // namespace relay
