#include "relay/voice/echo_filter.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace relay {
namespace {

// Of frames from the network.
constexpr Duration kHeardJitter = std::chrono::milliseconds(45);

}  // namespace

Result<EchoFilter> EchoFilter::make(uint32_t said_rate_hz, uint32_t heard_rate_hz,
                                    std::chrono::milliseconds tail) {
  auto resampler = Resampler::make(said_rate_hz, heard_rate_hz);
  if (!resampler) return tl::unexpected(resampler.error());
  auto canceller = EchoCanceller::make(heard_rate_hz, tail);
  if (!canceller) return tl::unexpected(canceller.error());
  return EchoFilter(heard_rate_hz, std::move(*resampler), std::move(*canceller));
}

EchoFilter::EchoFilter(uint32_t heard_rate_hz, Resampler resampler, EchoCanceller canceller)
    : rate_hz_(heard_rate_hz),
      frame_samples_(rate_hz_ / 50),
      resampler_(std::move(resampler)),
      canceller_(std::move(canceller)),
      ring_(heard_rate_hz),
      resampled_(heard_rate_hz / 50 + 64),
      told_(heard_rate_hz / 50) {}

int64_t EchoFilter::position_of(Instant at) const {
  const int64_t ns = to_ns(at);
  constexpr int64_t kSecond = 1'000'000'000;
  return ns / kSecond * rate_hz_ + ns % kSecond * rate_hz_ / kSecond;
}

void EchoFilter::said(Instant at, std::span<const int16_t> samples) {
  // By the schedule it goes on where the last frame ended, but for a few samples of the
  // resampler's.
  const int64_t jump = position_of(at) - said_until_;
  const bool goes_on = std::abs(jump) < frame_samples_ / 4;
  const int64_t silence = goes_on ? 0 : std::clamp<int64_t>(jump, 0, std::ssize(ring_));
  if (!goes_on) said_until_ += jump;
  for (int64_t i = said_until_ - silence; i < said_until_; ++i) {
    ring_[static_cast<size_t>(i % std::ssize(ring_))] = 0;
  }
  while (!samples.empty()) {
    const auto step = resampler_.process(samples, resampled_);
    append(std::span(resampled_).first(step.written));
    if (step.consumed == 0 && step.written == 0) break;
    samples = samples.subspan(step.consumed);
  }
}

void EchoFilter::append(std::span<const int16_t> samples) {
  for (const int16_t sample : samples) {
    ring_[static_cast<size_t>(said_until_++ % std::ssize(ring_))] = sample;
  }
}

// A packet sent at t lies in the ring from t on. A frame handed out at t, which began 20 ms before,
// is held against what lies there 20 ms earlier still: that has been sent even by a worker who is
// late, and no phone's echo comes sooner.
void EchoFilter::cancel(Instant at, std::span<int16_t> frame) {
  const int64_t jump = position_of(at) - heard_until_;
  const int64_t jitter = Duration(kHeardJitter).count() * rate_hz_ / 1'000'000'000;
  if (std::abs(jump) > jitter) heard_until_ += jump;
  for (int64_t i = 0; i < frame_samples_; ++i) {
    const int64_t position = heard_until_ - 2 * frame_samples_ + i;
    const bool is_there = position < said_until_ && position >= said_until_ - std::ssize(ring_);
    told_[static_cast<size_t>(i)] =
        is_there ? ring_[static_cast<size_t>(position % std::ssize(ring_))] : int16_t{0};
  }
  heard_until_ += frame_samples_;
  canceller_.cancel(told_, frame);
}

}  // namespace relay
