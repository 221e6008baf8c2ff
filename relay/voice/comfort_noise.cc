#include "relay/voice/comfort_noise.h"

#include <algorithm>
#include <cmath>

namespace relay {

// Uniform noise of peak A has the power A²/3.
void ComfortNoise::set_level_dbov(int level) {
  const double rms = 32768.0 * std::pow(10.0, std::clamp(level, -127, 0) / 20.0);
  amplitude_ = std::clamp(static_cast<int>(rms * std::sqrt(3.0)), 1, 32767);
}

void ComfortNoise::fill(std::span<int16_t> out) {
  const auto span = static_cast<uint32_t>(2 * amplitude_ + 1);
  for (int16_t& sample : out) {
    state_ = state_ * 1664525U + 1013904223U;  // Numerical Recipes' LCG; its high bits are good
    sample = static_cast<int16_t>(static_cast<int>((state_ >> 8) % span) - amplitude_);
  }
}

}  // namespace relay
