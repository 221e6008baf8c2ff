#include "relay/voice/voice_activity.h"

#include <algorithm>
#include <cmath>

namespace relay {
namespace {

constexpr Duration kFrame = std::chrono::milliseconds(20);
constexpr double kOverFloor = 4.0;    // 12 dB
constexpr double kVoicedMin = 200.0;  // -44 dBov
// Falls at once, rises by 6 dB in two seconds: a word does not become background.
constexpr double kFloorRise = 1.007;
constexpr int kPauseFrames = 5;

}  // namespace

bool VoiceActivity::on_frame(std::span<const int16_t> frame) {
  double energy = 0;
  for (const int16_t sample : frame) energy += double{static_cast<double>(sample)} * sample;
  const double level = std::sqrt(energy / static_cast<double>(std::max<size_t>(frame.size(), 1)));
  floor_ = floor_ == 0 ? level : std::min(level, floor_ * kFloorRise);
  const bool voiced = level > std::max(kVoicedMin, floor_ * kOverFloor);
  unvoiced_in_a_row_ = voiced ? 0 : unvoiced_in_a_row_ + 1;
  if (voiced || (speaking_for_ > Duration{} && unvoiced_in_a_row_ <= kPauseFrames)) {
    speaking_for_ += kFrame;
  } else {
    speaking_for_ = {};
  }
  return voiced;
}

}  // namespace relay
