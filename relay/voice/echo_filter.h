// Finds the echo of what the relay says to a party in what comes from it: lays out in time what was
// said, and cancels it. Voice thread.
//
// Frames are handed out every 20 ms with a jitter of their own, while the canceller needs them at a
// constant distance from what was said. So they are laid end to end, and only a jump larger than
// any jitter is taken for one. What was said lies where its timestamps put it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "relay/media/echo_canceller.h"
#include "relay/media/resampler.h"

namespace relay {

class EchoFilter {
 public:
  // What is said has `said_rate_hz`, what is heard `heard_rate_hz`.
  static Result<EchoFilter> make(uint32_t said_rate_hz, uint32_t heard_rate_hz,
                                 std::chrono::milliseconds tail);

  // A frame of 20 ms was sent; its timestamp stands for `at`, by which a receiver plays it.
  void said(Instant at, std::span<const int16_t> samples);
  // The frame of 20 ms that was handed out at `at`, all packets sent until then being told of.
  void cancel(Instant at, std::span<int16_t> frame);

 private:
  EchoFilter(uint32_t heard_rate_hz, Resampler resampler, EchoCanceller canceller);
  int64_t position_of(Instant at) const;
  void append(std::span<const int16_t> samples);

  const int64_t rate_hz_;
  const int64_t frame_samples_;
  Resampler resampler_;
  EchoCanceller canceller_;
  // The last second of what was said; a position is in samples since the clock's epoch.
  std::vector<int16_t> ring_;
  int64_t said_until_ = 0, heard_until_ = 0;
  std::vector<int16_t> resampled_, told_;
};

}  // namespace relay
