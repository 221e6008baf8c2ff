// What RtpAnalyser knows of a stream and how a packet changes it, as plain C: the kernel program
// counts with the same code on the same state, so a stream can change planes in mid-call and keep
// its figures. Integers only; jitter has kRtpJitterShift fractional bits.
#pragma once

#include <linux/types.h>

enum {
  kRtpSeenWords = 32,    // of 64 sequence numbers each; a power of two
  kRtpJitterStates = 4,  // SSRCs; a power of two
  kRtpTimestamps = 10,   // per SSRC
  kRtpJitterShift = 16,
};

// A sequence number further than this from the highest one starts a new run.
static const __u64 kRtpRunDistanceMax = 536;
// Around a wrap: "just before" is above this, "just after" is below kRtpRunDistanceMax.
static const __u64 kRtpJustBeforeWrap = 65000;
static const __u64 kRtpSequences = 65536;
// Timestamps that jump this many times further than the clock did were reset by the sender.
static const __s64 kRtpResetBackward = 50;
static const __s64 kRtpResetForward = 1024;
// Longer silences than this (90 kHz: 12 hours) are sampled as this, which keeps sums in 64 bits.
static const __u64 kRtpGapMaxQ = (__u64)1 << 48;

// Interarrival jitter of one SSRC.
struct RtpJitterState {
  __u64 arrival_ns;
  __u64 jitter_q;
  __u32 ssrc;
  __u32 timestamp;
  __u32 timestamps[kRtpTimestamps];
  __u8 used, sampled, known_timestamps, next_timestamp;
  __u32 reserved;
};

// All zero: nothing has come.
struct RtpStreamState {
  // A run is a stretch of one SSRC's sequence numbers without a jump; these are extended ones. The
  // first of a run starts one cycle up, so that a straggler from before a wrap fits below it.
  __u64 run_lowest, run_highest, run_received, run_duplicates;
  // What every packet touches comes first, in as few cache lines as may be.
  __u32 ssrc_changes, ssrc_last;
  __u8 run_open, ssrc_known, arrival_known, payload_type_known;
  __u8 payload_type_last, newest_jitter, reserved[2];
  __u64 last_arrival_ns, longest_gap_ns;
  __u64 jitter_sum_q, jitter_max_q, jitter_samples;
  __u64 closed_sent, closed_received, closed_duplicates;  // the runs before this one
  __u64 parse_errors;
  // Which of the last 2048 sequence numbers of the run came. The oldest one a packet of the run
  // can have is 1071 behind the highest: straggler 65001 after a wrap to 535.
  __u64 seen[kRtpSeenWords];
  struct RtpJitterState jitter[kRtpJitterStates];
};

// The fields of a packet whose header adds up.
struct RtpFacts {
  __u32 ssrc, timestamp;
  __u16 sequence;
  __u8 payload_type, marker;
};

// The clock of a static payload type (RFC 3551 §6), 0 for types that signalling defines.
static inline __attribute__((always_inline)) __u32 rtp_clock_rate(__u8 payload_type) {
  switch (payload_type) {
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
    case 1:
    case 2:
      return 0;
    default:
      return payload_type <= 18 ? 8000 : 0;
  }
}

static inline __attribute__((always_inline)) __u64 rtp_seen_bit(__u64 sequence) {
  return (__u64)1 << (sequence & 63);
}

static inline __attribute__((always_inline)) __u64* rtp_seen_word(struct RtpStreamState* state,
                                                                  __u64 sequence) {
  return &state->seen[(sequence >> 6) & (kRtpSeenWords - 1)];
}

// Makes room for (highest, sequence]: the numbers between them have not come.
static inline __attribute__((always_inline)) void rtp_seen_advance(struct RtpStreamState* state,
                                                                   __u64 highest, __u64 sequence) {
  __u64 next = highest + 1;
  for (int i = 0; i < kRtpSeenWords && next <= sequence; ++i) {
    const __u64 from_bit = next & 63;
    const __u64 left = sequence - next;  // after `next`
    __u64 mask = ~(__u64)0 << from_bit;
    if (left < 63 - from_bit) mask &= ~(~(__u64)0 << (from_bit + left + 1));
    *rtp_seen_word(state, next) &= ~mask;
    next += 64 - from_bit;
  }
}

// The extended sequence number, in the cycle of the highest one or, around a wrap, its neighbour.
static inline __attribute__((always_inline)) __u64 rtp_extend(const struct RtpStreamState* state,
                                                              __u16 sequence) {
  const __u64 highest = state->run_highest % kRtpSequences;
  const __u64 same_cycle = state->run_highest - highest + sequence;
  if (highest < kRtpRunDistanceMax && sequence > kRtpJustBeforeWrap) {
    return same_cycle - kRtpSequences;
  }
  if (highest > kRtpJustBeforeWrap && sequence < kRtpRunDistanceMax) {
    return same_cycle + kRtpSequences;
  }
  return same_cycle;
}

static inline __attribute__((always_inline)) int rtp_starts_run(const struct RtpStreamState* state,
                                                                const struct RtpFacts* packet,
                                                                __u64 extended) {
  const __u64 highest = state->run_highest % kRtpSequences;
  if (packet->marker && packet->sequence < highest && highest != kRtpSequences - 1) return 1;
  const __u64 distance =
      extended > state->run_highest ? extended - state->run_highest : state->run_highest - extended;
  const int around_wrap = extended / kRtpSequences != state->run_highest / kRtpSequences;
  return !around_wrap && distance > kRtpRunDistanceMax;
}

static inline __attribute__((always_inline)) void rtp_open_run(struct RtpStreamState* state,
                                                               __u16 sequence) {
  if (state->run_open) {
    state->closed_sent += state->run_highest - state->run_lowest + 1;
    state->closed_received += state->run_received;
    state->closed_duplicates += state->run_duplicates;
  }
  const __u64 extended = kRtpSequences + sequence;
  state->run_open = 1;
  state->run_lowest = state->run_highest = extended;
  state->run_received = 1;
  state->run_duplicates = 0;
  for (int i = 0; i < kRtpSeenWords; ++i) state->seen[i] = 0;
  *rtp_seen_word(state, extended) = rtp_seen_bit(extended);
}

static inline __attribute__((always_inline)) void rtp_count_sequence(
    struct RtpStreamState* state, const struct RtpFacts* packet) {
  const int new_ssrc = !state->ssrc_known || packet->ssrc != state->ssrc_last;
  if (new_ssrc) {
    ++state->ssrc_changes;
    state->ssrc_last = packet->ssrc;
    state->ssrc_known = 1;
  }
  const __u64 extended = rtp_extend(state, packet->sequence);
  if (new_ssrc || rtp_starts_run(state, packet, extended)) {
    rtp_open_run(state, packet->sequence);
    return;
  }
  if (extended > state->run_highest) {
    rtp_seen_advance(state, state->run_highest, extended);
    state->run_highest = extended;
  } else if ((*rtp_seen_word(state, extended) & rtp_seen_bit(extended)) != 0) {
    ++state->run_duplicates;
    return;
  }
  if (extended < state->run_lowest) state->run_lowest = extended;
  *rtp_seen_word(state, extended) |= rtp_seen_bit(extended);
  ++state->run_received;
}

static inline __attribute__((always_inline)) void rtp_remember_timestamp(
    struct RtpJitterState* jitter, __u32 timestamp, __u64 now_ns) {
  __u32 next = jitter->next_timestamp;
  if (next >= kRtpTimestamps) next = 0;
  jitter->timestamps[next] = timestamp;
  jitter->next_timestamp = (__u8)(next + 1 == kRtpTimestamps ? 0 : next + 1);
  if (jitter->known_timestamps < kRtpTimestamps) ++jitter->known_timestamps;
  jitter->timestamp = timestamp;
  jitter->arrival_ns = now_ns;
}

static inline __attribute__((always_inline)) int rtp_knows_timestamp(
    const struct RtpJitterState* jitter, __u32 timestamp) {
  for (int i = 0; i < kRtpTimestamps; ++i) {
    if (i < jitter->known_timestamps && jitter->timestamps[i] == timestamp) return 1;
  }
  return 0;
}

// A new SSRC takes the place of the one that appeared longest ago. What that one contributed to
// average and maximum stays.
static inline __attribute__((always_inline)) struct RtpJitterState* rtp_jitter_state(
    struct RtpStreamState* state, __u32 ssrc) {
  struct RtpJitterState* newest = &state->jitter[state->newest_jitter & (kRtpJitterStates - 1)];
  if (newest->used && newest->ssrc == ssrc) return newest;  // saves the others' cache lines
  for (int i = 0; i < kRtpJitterStates; ++i) {
    if (state->jitter[i].used && state->jitter[i].ssrc == ssrc) return &state->jitter[i];
  }
  const __u32 oldest = (state->newest_jitter + 1U) & (kRtpJitterStates - 1);
  struct RtpJitterState* jitter = &state->jitter[oldest];
  state->newest_jitter = (__u8)oldest;
  jitter->used = 1;
  jitter->sampled = jitter->known_timestamps = jitter->next_timestamp = 0;
  jitter->ssrc = ssrc;
  jitter->jitter_q = 0;
  return jitter;
}

// Nanoseconds in timestamp units.
static inline __attribute__((always_inline)) __u64 rtp_gap_q(__u64 from_ns, __u64 to_ns,
                                                             __u32 rate) {
  const __u64 ns_per_s = 1000000000;
  if (to_ns <= from_ns) return 0;
  const __u64 gap_ns = to_ns - from_ns;
  const __u64 seconds_q = (gap_ns / ns_per_s * rate) << kRtpJitterShift;
  const __u64 rest_q = ((gap_ns % ns_per_s * rate) << kRtpJitterShift) / ns_per_s;
  const __u64 gap_q = seconds_q + rest_q;
  return gap_q < kRtpGapMaxQ ? gap_q : kRtpGapMaxQ;
}

// RFC 3550 A.8, except that a repeated timestamp (packets of one frame, duplicates) and the first
// packet after the sender restarted its timestamps are no samples.
static inline __attribute__((always_inline)) void rtp_sample_jitter(struct RtpStreamState* state,
                                                                    const struct RtpFacts* packet,
                                                                    __u64 now_ns) {
  const __u32 rate = rtp_clock_rate(packet->payload_type);
  if (rate == 0) return;
  struct RtpJitterState* jitter = rtp_jitter_state(state, packet->ssrc);
  if (jitter->known_timestamps == 0) {
    rtp_remember_timestamp(jitter, packet->timestamp, now_ns);
    return;
  }
  if (rtp_knows_timestamp(jitter, packet->timestamp)) return;
  const __s64 arrival_q = (__s64)rtp_gap_q(jitter->arrival_ns, now_ns, rate);
  const __s32 timestamp_gap = (__s32)(packet->timestamp - jitter->timestamp);
  const __s64 timestamp_q = (__s64)timestamp_gap * ((__s64)1 << kRtpJitterShift);
  if (-timestamp_q > kRtpResetBackward * arrival_q || timestamp_q > kRtpResetForward * arrival_q) {
    jitter->known_timestamps = jitter->next_timestamp = 0;
    rtp_remember_timestamp(jitter, packet->timestamp, now_ns);
    return;
  }
  rtp_remember_timestamp(jitter, packet->timestamp, now_ns);
  const __u64 difference_q =
      (__u64)(arrival_q > timestamp_q ? arrival_q - timestamp_q : timestamp_q - arrival_q);
  if (difference_q >= jitter->jitter_q) {
    jitter->jitter_q += (difference_q - jitter->jitter_q) >> 4;
  } else {
    jitter->jitter_q -= (jitter->jitter_q - difference_q) >> 4;
  }
  jitter->sampled = 1;
  state->jitter_sum_q += jitter->jitter_q;
  if (jitter->jitter_q > state->jitter_max_q) state->jitter_max_q = jitter->jitter_q;
  ++state->jitter_samples;
}

// A packet whose header adds up.
static inline __attribute__((always_inline)) void rtp_stream_packet(struct RtpStreamState* state,
                                                                    const struct RtpFacts* packet,
                                                                    __u64 now_ns) {
  if (state->arrival_known && now_ns > state->last_arrival_ns &&
      now_ns - state->last_arrival_ns > state->longest_gap_ns) {
    state->longest_gap_ns = now_ns - state->last_arrival_ns;
  }
  state->arrival_known = 1;
  state->last_arrival_ns = now_ns;
  state->payload_type_known = 1;
  state->payload_type_last = packet->payload_type;
  rtp_count_sequence(state, packet);
  rtp_sample_jitter(state, packet, now_ns);
}
