// Sequence and jitter analysis of one RTP stream as it arrives (one component of one leg), in the
// units rtpproxy reports: totals over all runs, jitter in timestamp units (RFC 3550 §6.4.1, A.8).
// Fixed size, no allocation. One writer thread; readers take `totals()` through FlowStats.
#pragma once

#include <cstdint>

#include "relay/base/clock.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/rtp_header.h"
#include "relay/rtp/sequence_core.h"

namespace relay {

struct AnalyserTotals {
  uint64_t sent = 0;      // Σ over runs of (highest − lowest sequence + 1)
  uint64_t received = 0;  // unique packets
  uint64_t duplicates = 0;
  uint64_t parse_errors = 0;
  uint32_t ssrc_changes = 0;  // 1 for the first SSRC
  uint32_t ssrc_last = 0;
  int payload_type_last = -1;
  double jitter_last = 0, jitter_max = 0, jitter_average = 0;
  Duration longest_gap{0};  // between two arrivals
  uint64_t lost() const { return sent - received; }
};

AnalyserTotals totals_of(const RtpStreamState& state);

class RtpAnalyser {
 public:
  // A packet the demux calls RTP. A header that does not add up counts as a parse error.
  void on_packet(Bytes packet, Instant now);
  AnalyserTotals totals() const { return totals_of(state_); }

  // To go on with a stream that another plane has analysed so far, and to hand it over.
  const RtpStreamState& state() const { return state_; }
  void resume(const RtpStreamState& state) { state_ = state; }

 private:
  RtpStreamState state_{};
};
static_assert(sizeof(RtpAnalyser) <= 1024);

}  // namespace relay
