#include "tools/rtpp-extractaudio/statistics.h"

#include <fmt/core.h>

#include "relay/rtp/analyser.h"

namespace relay::tools {

std::string describe(const Capture& capture) {
  RtpAnalyser analyser;
  for (size_t i = 0; i < capture.size(); ++i) {
    analyser.on_packet(capture.packet(i), from_ns(capture.arrival_ns(i)));
  }
  // The first line is of the last run; its numbers start one cycle up (sequence_core.h).
  const RtpStreamState& run = analyser.state();
  const auto cycle = static_cast<int64_t>(kRtpSequences);
  const int64_t first_cycle = run.run_open != 0 ? cycle : 0;
  const auto lowest = static_cast<int64_t>(run.run_lowest) - first_cycle;
  const auto highest = static_cast<int64_t>(run.run_highest) - first_cycle;
  const int64_t offset = highest / cycle * cycle;
  const AnalyserTotals totals = analyser.totals();
  std::string text = fmt::format(
      "pcount={}, min_seq={}, max_seq={}, seq_offset={}, ssrc=0x{:08X}, duplicates={}\n"
      "ssrc_changes={}, psent={}, precvd={}, plost={}\n",
      run.run_received, lowest, highest, offset, totals.ssrc_last, run.run_duplicates,
      totals.ssrc_changes, totals.sent, totals.received, totals.lost());
  if (totals.received + totals.duplicates >= 2) {
    text += fmt::format("last_jitter={:.6f},average_jitter={:.6f},max_jitter={:.6f}\n",
                        totals.jitter_last, totals.jitter_average, totals.jitter_max);
  }
  return text;
}

}  // namespace relay::tools
