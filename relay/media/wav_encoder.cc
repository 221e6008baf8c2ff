#include "relay/media/wav_encoder.h"

#include <fmt/core.h>
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "relay/media/resampler.h"

namespace relay {
namespace {

struct CloseSndfile {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using Sndfile = std::unique_ptr<SNDFILE, CloseSndfile>;
using Samples = std::vector<int16_t>;

constexpr int kChannelsMax = 2;
constexpr int kRateMinHz = 4000, kRateMaxHz = 192000;
constexpr sf_count_t kFramesMax = sf_count_t{kWavSecondsMax} * 48000;
constexpr size_t kFramesAtOnce = 8192;

Result<void> check(const SF_INFO& info) {
  if ((info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_WAV &&
      (info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_WAVEX) {
    return fail("not a WAV file");
  }
  if (info.channels < 1 || info.channels > kChannelsMax) {
    return fail(fmt::format("{} channels: expected 1 or 2", info.channels));
  }
  if (info.samplerate < kRateMinHz || info.samplerate > kRateMaxHz) {
    return fail(
        fmt::format("{} Hz: expected {} to {} Hz", info.samplerate, kRateMinHz, kRateMaxHz));
  }
  const sf_count_t seconds = info.frames / info.samplerate;
  if (info.frames < 0 || info.frames > kFramesMax || seconds > kWavSecondsMax) {
    return fail(fmt::format("{} frames, {} s: expected at most {} frames and {} s", info.frames,
                            seconds, kFramesMax, kWavSecondsMax));
  }
  return {};
}

int16_t to_sample(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<int16_t>(std::lround(std::clamp(value * 32768.0F, -32768.0F, 32767.0F)));
}

// By way of float, which libsndfile scales to -1…1 whatever the file's own format.
Samples read_mono(SNDFILE* file, const SF_INFO& info) {
  Samples mono;
  mono.reserve(static_cast<size_t>(info.frames));
  const auto channels = static_cast<size_t>(info.channels);
  std::vector<float> frames(kFramesAtOnce * channels);
  const auto frames_max = static_cast<size_t>(info.frames);
  while (mono.size() < frames_max) {
    const sf_count_t got = sf_readf_float(file, frames.data(), kFramesAtOnce);
    if (got <= 0) break;
    for (size_t i = 0; i < static_cast<size_t>(got) * channels; i += channels) {
      const float other = channels == 2 ? frames[i + 1] : frames[i];
      mono.push_back(to_sample((frames[i] + other) / 2));
    }
  }
  return mono;
}

Result<Samples> resample(Samples samples, uint32_t from_hz, uint32_t to_hz) {
  if (from_hz == to_hz) return samples;
  auto resampler = Resampler::make(from_hz, to_hz);
  if (!resampler) return tl::unexpected(resampler.error());
  resampler->skip_delay();
  const size_t wanted = samples.size() * to_hz / from_hz;
  samples.resize(samples.size() + resampler->delay_samples());
  Samples resampled(wanted);
  std::span<const int16_t> in = samples;
  std::span<int16_t> out = resampled;
  while (!in.empty() && !out.empty()) {
    const Resampler::Step step = resampler->process(in, out);
    if (step.consumed == 0 && step.written == 0) break;
    in = in.subspan(step.consumed);
    out = out.subspan(step.written);
  }
  resampled.resize(resampled.size() - out.size());
  return resampled;
}

}  // namespace

Result<std::vector<std::byte>> encode_wav(int file, AudioCodec codec) {
  SF_INFO info{};
  const Sndfile sound(sf_open_fd(file, SFM_READ, &info, SF_FALSE));
  if (!sound) return fail(fmt::format("libsndfile: {}", sf_strerror(nullptr)));
  if (auto checked = check(info); !checked) return tl::unexpected(checked.error());
  auto encoder = make_encoder(codec);
  if (!encoder) return tl::unexpected(encoder.error());
  const uint32_t rate_hz = (*encoder)->sample_rate_hz();
  const auto samples =
      resample(read_mono(sound.get(), info), static_cast<uint32_t>(info.samplerate), rate_hz);
  if (!samples) return tl::unexpected(samples.error());
  const CodecTraits& traits = traits_of(codec);
  const size_t unit_samples = size_t{traits.unit_ms} * rate_hz / 1000;
  std::vector<std::byte> payload(samples->size() / unit_samples * traits.unit_bytes);
  payload.resize((*encoder)->encode(*samples, payload));
  return payload;
}

}  // namespace relay
