// Sequence and jitter analysis of one RTP stream as it arrives (one component of one leg), in the
// units rtpproxy reports: totals over all runs, jitter in timestamp units (RFC 3550 §6.4.1, A.8).
// Fixed size, no allocation. One writer thread; readers take `totals()` through FlowStats.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "relay/base/clock.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/rtp_header.h"

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

class RtpAnalyser {
 public:
  // A packet the demux calls RTP. A header that does not add up counts as a parse error.
  void on_packet(Bytes packet, Instant now);
  AnalyserTotals totals() const;

 private:
  // A stretch of one SSRC's sequence numbers without a jump.
  struct Run {
    bool open = false;
    uint64_t lowest = 0, highest = 0;  // extended sequence numbers
    uint64_t received = 0, duplicates = 0;
  };

  // Which of the last 2048 sequence numbers of the run came. The oldest one a packet of the run
  // can have is 1071 behind the highest: straggler 65001 after a wrap to 535.
  class SeenWindow {
   public:
    void clear() { bits_.fill(0); }
    bool contains(uint64_t sequence) const { return (word(sequence) & bit(sequence)) != 0; }
    void insert(uint64_t sequence) { bits_[slot(sequence)] |= bit(sequence); }
    // Makes room for (highest, sequence].
    void advance(uint64_t highest, uint64_t sequence);

   private:
    static constexpr uint64_t kBits = 2048;
    static size_t slot(uint64_t sequence) { return (sequence % kBits) / 64; }
    static uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }
    uint64_t word(uint64_t sequence) const { return bits_[slot(sequence)]; }
    std::array<uint64_t, kBits / 64> bits_{};
  };

  // Interarrival jitter of one SSRC.
  struct JitterState {
    static constexpr size_t kTimestamps = 10;
    bool used = false;
    bool sampled = false;
    uint8_t known_timestamps = 0, next_timestamp = 0;
    uint32_t ssrc = 0;
    uint32_t timestamp = 0;
    Instant arrival{};
    double jitter = 0;
    std::array<uint32_t, kTimestamps> timestamps{};

    bool knows(uint32_t value) const;
    void restart(uint32_t value, Instant now);
    void remember(uint32_t value, Instant now);
  };
  static constexpr size_t kJitterStates = 4;

  void count_sequence(const RtpView& packet);
  uint64_t extend(uint16_t sequence) const;
  bool starts_run(const RtpView& packet, uint64_t extended) const;
  void open_run(uint16_t sequence);
  void sample_jitter(const RtpView& packet, Instant now);
  JitterState& jitter_state(uint32_t ssrc);

  Run run_;
  AnalyserTotals closed_;  // the runs before this one, and what is not counted by runs
  bool ssrc_known_ = false;
  std::optional<Instant> last_arrival_;
  SeenWindow seen_;
  std::array<JitterState, kJitterStates> jitter_{};
  size_t newest_jitter_ = 0;  // index of the SSRC that appeared last
  double jitter_sum_ = 0, jitter_max_ = 0;
  uint64_t jitter_samples_ = 0;
};
static_assert(sizeof(RtpAnalyser) <= 1024);

}  // namespace relay
