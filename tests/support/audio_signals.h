// Signals to send through codecs and files, and how far what comes back is from them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

namespace relay::testing {

using Samples = std::vector<int16_t>;

inline Samples tone(uint32_t rate_hz, double frequency_hz, size_t samples, double peak = 10000) {
  Samples signal(samples);
  for (size_t i = 0; i < samples; ++i) {
    const double phase = 2 * std::numbers::pi * frequency_hz * static_cast<double>(i) / rate_hz;
    signal[i] = static_cast<int16_t>(std::lround(peak * std::sin(phase)));
  }
  return signal;
}

// A voice of some 220 Hz that speaks three syllables a second, each with another pitch: harmonics
// that fall off as a voice's do.
inline Samples voice_like(uint32_t rate_hz, size_t samples) {
  Samples signal(samples);
  double cycles = 0;
  for (size_t i = 0; i < samples; ++i) {
    const double syllable = std::sin(2 * std::numbers::pi * 1.5 * static_cast<double>(i) / rate_hz);
    cycles += (220 + 60 * syllable) / rate_hz;
    double sum = 0;
    for (int harmonic = 1; harmonic <= 12; ++harmonic) {
      sum += std::sin(2 * std::numbers::pi * cycles * harmonic + harmonic * harmonic) / harmonic;
    }
    signal[i] = static_cast<int16_t>(std::lround(6000 * (0.2 + std::abs(syllable)) * sum));
  }
  return signal;
}

inline double energy(std::span<const int16_t> signal) {
  double sum = 0;
  for (const int16_t sample : signal) sum += static_cast<double>(sample) * sample;
  return sum;
}

// Of `copy` against `original`, in dB; the shorter of the two counts.
inline double snr_db(std::span<const int16_t> original, std::span<const int16_t> copy) {
  const size_t samples = std::min(original.size(), copy.size());
  double noise = 0;
  for (size_t i = 0; i < samples; ++i) {
    const double difference = static_cast<double>(original[i]) - copy[i];
    noise += difference * difference;
  }
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(energy(original.first(samples)) / noise);
}

// As snr_db() with `copy` shifted to the left by what fits best, 0 to `delay_max` samples: codecs
// and filters delay.
inline double best_snr_db(std::span<const int16_t> original, std::span<const int16_t> copy,
                          size_t delay_max) {
  double best = -std::numeric_limits<double>::infinity();
  for (size_t delay = 0; delay <= std::min(delay_max, copy.size()); ++delay) {
    best = std::max(best, snr_db(original, copy.subspan(delay)));
  }
  return best;
}

}  // namespace relay::testing
