#include "relay/media/echo_canceller.h"

#include <fmt/core.h>
#include <speex/speex_echo.h>

#include <algorithm>

#include "relay/base/assert.h"

namespace relay {

void EchoCanceller::Deleter::operator()(SpeexEchoState_* state) const {
  speex_echo_state_destroy(state);
}

Result<EchoCanceller> EchoCanceller::make(uint32_t rate_hz, std::chrono::milliseconds tail) {
  constexpr uint32_t kRateMinHz = 8000, kRateMaxHz = 64000;
  constexpr std::chrono::milliseconds kTailMax{1000};
  if (rate_hz < kRateMinHz || rate_hz > kRateMaxHz || tail < kFrame || tail > kTailMax) {
    return fail(fmt::format(
        "echo cancellation at {} Hz over {} ms: expected {} to {} Hz, {} to {} "
        "ms",
        rate_hz, tail.count(), kRateMinHz, kRateMaxHz, kFrame.count(), kTailMax.count()));
  }
  const uint32_t frame = rate_hz * static_cast<uint32_t>(kFrame.count()) / 1000;
  const uint32_t filter = rate_hz * static_cast<uint32_t>(tail.count()) / 1000;
  State state(speex_echo_state_init(static_cast<int>(frame), static_cast<int>(filter)));
  if (state == nullptr) return fail("echo cancellation: out of memory");
  auto rate = static_cast<spx_int32_t>(rate_hz);
  speex_echo_ctl(state.get(), SPEEX_ECHO_SET_SAMPLING_RATE, &rate);
  return EchoCanceller(std::move(state), frame);
}

void EchoCanceller::cancel(std::span<const int16_t> told, std::span<int16_t> heard) {
  RELAY_ASSERT(told.size() == clean_.size() && heard.size() == clean_.size());
  speex_echo_cancellation(state_.get(), heard.data(), told.data(), clean_.data());
  std::copy(clean_.begin(), clean_.end(), heard.begin());
}

}  // namespace relay
