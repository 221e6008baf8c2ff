#include "relay/rtp/analyser.h"

namespace relay {
namespace {

double from_q(uint64_t fixed_point) {
  return static_cast<double>(fixed_point) / (1 << kRtpJitterShift);
}

// Of the SSRC that appeared last among those that have a sample.
uint64_t last_jitter_q(const RtpStreamState& state) {
  for (uint32_t age = 0; age < kRtpJitterStates; ++age) {
    const uint32_t at = (state.newest_jitter + kRtpJitterStates - age) % kRtpJitterStates;
    if (state.jitter[at].sampled != 0) return state.jitter[at].jitter_q;
  }
  return 0;
}

}  // namespace

void RtpAnalyser::on_packet(Bytes packet, Instant now) {
  const auto view = RtpView::parse(packet);
  if (!view) {
    ++state_.parse_errors;
    return;
  }
  const RtpFacts facts{view->ssrc(), view->timestamp(), view->sequence(), view->payload_type(),
                       static_cast<uint8_t>(view->marker())};
  rtp_stream_packet(&state_, &facts, static_cast<uint64_t>(to_ns(now)));
}

AnalyserTotals totals_of(const RtpStreamState& state) {
  AnalyserTotals totals;
  totals.sent = state.closed_sent;
  totals.received = state.closed_received;
  totals.duplicates = state.closed_duplicates;
  if (state.run_open != 0) {
    totals.sent += state.run_highest - state.run_lowest + 1;
    totals.received += state.run_received;
    totals.duplicates += state.run_duplicates;
  }
  totals.parse_errors = state.parse_errors;
  totals.ssrc_changes = state.ssrc_changes;
  totals.ssrc_last = state.ssrc_last;
  if (state.payload_type_known != 0) totals.payload_type_last = state.payload_type_last;
  totals.longest_gap = Duration(static_cast<int64_t>(state.longest_gap_ns));
  totals.jitter_last = from_q(last_jitter_q(state));
  totals.jitter_max = from_q(state.jitter_max_q);
  if (state.jitter_samples > 0) {
    totals.jitter_average = from_q(state.jitter_sum_q) / static_cast<double>(state.jitter_samples);
  }
  return totals;
}

}  // namespace relay
