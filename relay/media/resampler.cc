#include "relay/media/resampler.h"

#include <fmt/core.h>
#include <speex/speex_resampler.h>

#include <algorithm>

namespace relay {
namespace {

constexpr int kQuality = 3;
constexpr uint32_t kRateMinHz = 4000, kRateMaxHz = 192000;
constexpr size_t kStepSamplesMax = 1 << 20;  // the library counts in 32 bits

bool is_supported(uint32_t rate_hz) {
  return rate_hz >= kRateMinHz && rate_hz <= kRateMaxHz;
}

}  // namespace

void Resampler::Deleter::operator()(SpeexResamplerState_* state) const {
  speex_resampler_destroy(state);
}

Result<Resampler> Resampler::make(uint32_t from_hz, uint32_t to_hz) {
  if (!is_supported(from_hz) || !is_supported(to_hz)) {
    return fail(fmt::format("resampling from {} to {} Hz: expected rates from {} to {} Hz", from_hz,
                            to_hz, kRateMinHz, kRateMaxHz));
  }
  if (from_hz == to_hz) return Resampler(nullptr);
  int error = RESAMPLER_ERR_SUCCESS;
  State state(speex_resampler_init(1, from_hz, to_hz, kQuality, &error));
  if (state == nullptr) {
    return fail(fmt::format("resampling from {} to {} Hz: {}", from_hz, to_hz,
                            speex_resampler_strerror(error)));
  }
  return Resampler(std::move(state));
}

Resampler::Step Resampler::process(std::span<const int16_t> in, std::span<int16_t> out) {
  if (state_ == nullptr) {
    const size_t samples = std::min(in.size(), out.size());
    std::copy_n(in.begin(), samples, out.begin());
    return {samples, samples};
  }
  Step done;
  while (done.consumed < in.size() && done.written < out.size()) {
    auto consumed = static_cast<spx_uint32_t>(std::min(in.size() - done.consumed, kStepSamplesMax));
    auto written = static_cast<spx_uint32_t>(std::min(out.size() - done.written, kStepSamplesMax));
    speex_resampler_process_int(state_.get(), 0, in.data() + done.consumed, &consumed,
                                out.data() + done.written, &written);
    done.consumed += consumed;
    done.written += written;
    if (consumed == 0 && written == 0) break;
  }
  return done;
}

void Resampler::reset() {
  if (state_ != nullptr) speex_resampler_reset_mem(state_.get());
}

void Resampler::skip_delay() {
  if (state_ != nullptr) speex_resampler_skip_zeros(state_.get());
}

size_t Resampler::delay_samples() const {
  if (state_ == nullptr) return 0;
  return static_cast<size_t>(speex_resampler_get_input_latency(state_.get()));
}

}  // namespace relay
