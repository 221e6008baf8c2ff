#include "relay/rtp/analyser.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace relay {
namespace {

// A sequence number further than this from the highest one starts a new run.
constexpr uint64_t kRunDistanceMax = 536;
// Around a wrap: "just before" is above this, "just after" is below kRunDistanceMax.
constexpr uint64_t kJustBeforeWrap = 65000;
constexpr uint64_t kSequences = 65536;
// The first run starts one cycle up, so that a straggler from before a wrap fits below it.
constexpr uint64_t kFirstCycle = kSequences;
// Timestamps that jump this many times further than the clock did were reset by the sender.
constexpr double kResetBackward = 50, kResetForward = 1024;

// The clock of a static payload type (RFC 3551 §6), 0 for types that signalling defines.
double clock_rate(uint8_t payload_type) {
  switch (payload_type) {
    case 0:
    case 3:
    case 4:
    case 5:
    case 7:
    case 8:
    case 9:
    case 12:
    case 13:
    case 15:
    case 18:
      return 8000;
    case 6:
      return 16000;
    case 10:
    case 11:
      return 44100;
    case 14:
      return 90000;
    case 16:
      return 11025;
    case 17:
      return 22050;
    default:
      return 0;
  }
}

}  // namespace

void RtpAnalyser::on_packet(Bytes packet, Instant now) {
  const auto view = RtpView::parse(packet);
  if (!view) {
    ++closed_.parse_errors;
    return;
  }
  if (last_arrival_) closed_.longest_gap = std::max(closed_.longest_gap, now - *last_arrival_);
  last_arrival_ = now;
  closed_.payload_type_last = view->payload_type();
  count_sequence(*view);
  sample_jitter(*view, now);
}

void RtpAnalyser::count_sequence(const RtpView& packet) {
  const bool new_ssrc = !ssrc_known_ || packet.ssrc() != closed_.ssrc_last;
  if (new_ssrc) {
    ++closed_.ssrc_changes;
    closed_.ssrc_last = packet.ssrc();
    ssrc_known_ = true;
  }
  const uint64_t extended = extend(packet.sequence());
  if (new_ssrc || starts_run(packet, extended)) {
    open_run(packet.sequence());
    return;
  }
  if (extended > run_.highest) {
    seen_.advance(run_.highest, extended);
    run_.highest = extended;
  } else if (seen_.contains(extended)) {
    ++run_.duplicates;
    return;
  }
  run_.lowest = std::min(run_.lowest, extended);
  seen_.insert(extended);
  ++run_.received;
}

// The extended sequence number, in the cycle of the highest one or, around a wrap, its neighbour.
uint64_t RtpAnalyser::extend(uint16_t sequence) const {
  const uint64_t highest = run_.highest % kSequences;
  const uint64_t same_cycle = run_.highest - highest + sequence;
  if (highest < kRunDistanceMax && sequence > kJustBeforeWrap) return same_cycle - kSequences;
  if (highest > kJustBeforeWrap && sequence < kRunDistanceMax) return same_cycle + kSequences;
  return same_cycle;
}

bool RtpAnalyser::starts_run(const RtpView& packet, uint64_t extended) const {
  const uint64_t highest = run_.highest % kSequences;
  if (packet.marker() && packet.sequence() < highest && highest != kSequences - 1) return true;
  const bool around_wrap = extended / kSequences != run_.highest / kSequences;
  const uint64_t distance =
      extended > run_.highest ? extended - run_.highest : run_.highest - extended;
  return !around_wrap && distance > kRunDistanceMax;
}

void RtpAnalyser::open_run(uint16_t sequence) {
  if (run_.open) {
    closed_.sent += run_.highest - run_.lowest + 1;
    closed_.received += run_.received;
    closed_.duplicates += run_.duplicates;
  }
  const uint64_t extended = kFirstCycle + sequence;
  run_ = Run{true, extended, extended, 1, 0};
  seen_.clear();
  seen_.insert(extended);
}

void RtpAnalyser::SeenWindow::advance(uint64_t highest, uint64_t sequence) {
  for (uint64_t next = highest + 1; next != sequence + 1; ++next) bits_[slot(next)] &= ~bit(next);
}

// RFC 3550 A.8, except that a repeated timestamp (packets of one frame, duplicates) and the first
// packet after the sender restarted its timestamps are no samples.
void RtpAnalyser::sample_jitter(const RtpView& packet, Instant now) {
  const double rate = clock_rate(packet.payload_type());
  if (rate <= 0) return;
  JitterState& state = jitter_state(packet.ssrc());
  if (state.known_timestamps == 0) {
    state.remember(packet.timestamp(), now);
    return;
  }
  if (state.knows(packet.timestamp())) return;
  const double arrival_gap = std::chrono::duration<double>(now - state.arrival).count() * rate;
  const double timestamp_gap = static_cast<int32_t>(packet.timestamp() - state.timestamp);
  if (-timestamp_gap > kResetBackward * arrival_gap ||
      timestamp_gap > kResetForward * arrival_gap) {
    state.restart(packet.timestamp(), now);
    return;
  }
  state.remember(packet.timestamp(), now);
  state.jitter += (std::abs(arrival_gap - timestamp_gap) - state.jitter) / 16;
  state.sampled = true;
  jitter_sum_ += state.jitter;
  jitter_max_ = std::max(jitter_max_, state.jitter);
  ++jitter_samples_;
}

// A new SSRC takes the place of the one that appeared longest ago. What that one contributed to
// average and maximum stays.
RtpAnalyser::JitterState& RtpAnalyser::jitter_state(uint32_t ssrc) {
  for (JitterState& state : jitter_) {
    if (state.used && state.ssrc == ssrc) return state;
  }
  newest_jitter_ = (newest_jitter_ + 1) % kJitterStates;
  jitter_[newest_jitter_] = JitterState{};
  jitter_[newest_jitter_].used = true;
  jitter_[newest_jitter_].ssrc = ssrc;
  return jitter_[newest_jitter_];
}

bool RtpAnalyser::JitterState::knows(uint32_t value) const {
  const auto end = timestamps.begin() + known_timestamps;
  return std::find(timestamps.begin(), end, value) != end;
}

void RtpAnalyser::JitterState::restart(uint32_t value, Instant now) {
  known_timestamps = next_timestamp = 0;
  remember(value, now);
}

void RtpAnalyser::JitterState::remember(uint32_t value, Instant now) {
  timestamps[next_timestamp] = value;
  next_timestamp = static_cast<uint8_t>((next_timestamp + 1) % kTimestamps);
  if (known_timestamps < kTimestamps) ++known_timestamps;
  timestamp = value;
  arrival = now;
}

AnalyserTotals RtpAnalyser::totals() const {
  AnalyserTotals totals = closed_;
  if (run_.open) {
    totals.sent += run_.highest - run_.lowest + 1;
    totals.received += run_.received;
    totals.duplicates += run_.duplicates;
  }
  for (size_t age = 0; age < kJitterStates; ++age) {
    const JitterState& state = jitter_[(newest_jitter_ + kJitterStates - age) % kJitterStates];
    if (!state.sampled) continue;
    totals.jitter_last = state.jitter;
    break;
  }
  totals.jitter_max = jitter_max_;
  if (jitter_samples_ > 0) {
    totals.jitter_average = jitter_sum_ / static_cast<double>(jitter_samples_);
  }
  return totals;
}

}  // namespace relay
