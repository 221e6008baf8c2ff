// Echo of a known delay and strength, with and without a party who speaks over it.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "relay/voice/echo_filter.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

// Noise in syllables, most of it between 200 Hz and 1 kHz, as telephones carry speech.
class Talker {
 public:
  Talker(uint32_t rate_hz, unsigned seed, double syllables_per_s)
      : rate_hz_(rate_hz), syllables_per_s_(syllables_per_s), random_(seed) {}
  double next() {
    const double time_s = static_cast<double>(count_++) / rate_hz_;
    const double loudness = std::max(0.0, std::sin(2 * M_PI * syllables_per_s_ * time_s)) + 0.02;
    low_ += std::min(1.0, 6000 / rate_hz_) * (noise_(random_) - low_);
    bass_ += 1300 / rate_hz_ * (low_ - bass_);
    return 6000 * loudness * (low_ - bass_);
  }

 private:
  const double rate_hz_, syllables_per_s_;
  std::mt19937 random_;
  std::normal_distribution<double> noise_;
  double low_ = 0, bass_ = 0;
  uint64_t count_ = 0;
};

double db(double ratio) {
  return 10 * std::log10(ratio);
}

struct Energies {
  double echo = 0;    // what comes back of what was said
  double speech = 0;  // what the party says
  double up = 0;      // what goes up
  double common = 0;  // of the two last
};

struct Line {
  uint32_t said_hz, heard_hz;
  std::chrono::milliseconds delay;
  std::chrono::milliseconds jitter;  // of when frames are handed out
  bool pauses;                       // the endpoint says nothing now and then
};

// Ten seconds of a call; energies of the last two, in which the party may speak, too.
Energies call_of(const Line& line, bool party_speaks) {
  auto made = EchoFilter::make(line.said_hz, line.heard_hz, 256ms);
  REQUIRE(made);
  EchoFilter filter = std::move(*made);
  auto resampler = Resampler::make(line.said_hz, line.heard_hz);
  REQUIRE(resampler);
  Talker endpoint(line.said_hz, 1, 2.7), party(line.heard_hz, 2, 3.9);
  std::mt19937 random(3);
  std::uniform_real_distribution<double> late(0, 1);
  const size_t frame = line.heard_hz / 50;
  const size_t delay = line.heard_hz * static_cast<size_t>(line.delay.count()) / 1000;
  std::vector<int16_t> told(delay, 0);  // at the party's ear, as late as it comes back
  std::vector<int16_t> said(line.said_hz / 50), resampled(frame + 64), heard(frame);
  Energies energies;
  const Instant begin = Instant{} + 1h;
  constexpr int kFrames = 500;
  for (int n = 0; n < kFrames; ++n) {
    const bool speaks = !line.pauses || n % 70 < 55;
    for (int16_t& sample : said) {
      sample = speaks ? static_cast<int16_t>(endpoint.next()) : int16_t{0};
    }
    const Instant tick = begin + n * 20ms;
    const auto jitter = [&] {
      const auto most = static_cast<double>(Duration(line.jitter).count());
      return Duration(static_cast<int64_t>(late(random) * most));
    };
    if (speaks) filter.said(tick, said);
    const auto step = resampler->process(said, resampled);
    told.insert(told.end(), resampled.begin(),
                resampled.begin() + static_cast<std::ptrdiff_t>(step.written));
    std::vector<double> echo(frame), speech(frame);
    for (size_t i = 0; i < frame; ++i) {
      const size_t at = static_cast<size_t>(n) * frame + i;
      // A wall behind the ear.
      echo[i] = 0.3 * told[at] + (at >= 40 ? 0.1 * told[at - 40] : 0);
      speech[i] = party_speaks && n >= kFrames - 100 ? party.next() : 0;
      heard[i] = static_cast<int16_t>(echo[i] + speech[i]);
    }
    filter.cancel(tick + 20ms + jitter(), heard);
    if (n < kFrames - 100) continue;
    for (size_t i = 0; i < frame; ++i) {
      const double up = heard[i];
      energies.echo += echo[i] * echo[i];
      energies.speech += speech[i] * speech[i];
      energies.up += up * up;
      energies.common += speech[i] * up;
    }
  }
  return energies;
}

}  // namespace

TEST_CASE("echo is taken out, and who speaks over it is heard") {
  const Line lines[] = {
      {8000, 8000, 60ms, 0ms, false},   {8000, 16000, 120ms, 0ms, false},
      {8000, 16000, 120ms, 8ms, false}, {16000, 16000, 200ms, 8ms, true},
      {8000, 24000, 80ms, 8ms, true},   {8000, 64000, 80ms, 8ms, true},
  };
  for (const Line& line : lines) {
    CAPTURE(line.heard_hz);
    CAPTURE(line.delay.count());
    CAPTURE(line.jitter.count());
    const Energies alone = call_of(line, false);
    const double reduction_db = db(alone.echo / (alone.up + 1));
    CAPTURE(reduction_db);
    CHECK(reduction_db >= 10);
    const Energies both = call_of(line, true);
    const double kept_db = db(both.up / both.speech);
    const double likeness = both.common / std::sqrt(both.up * both.speech);
    CAPTURE(kept_db);
    CAPTURE(likeness);
    CHECK(std::abs(kept_db) < 2);
    CHECK(likeness > 0.9);
  }
}

TEST_CASE("what does not fit is refused") {
  CHECK_FALSE(EchoCanceller::make(4000, 100ms));
  CHECK_FALSE(EchoCanceller::make(64001, 100ms));
  CHECK_FALSE(EchoCanceller::make(8000, 10ms));
  CHECK_FALSE(EchoCanceller::make(8000, 1001ms));
  CHECK_FALSE(EchoFilter::make(0, 8000, 100ms));
}

}  // namespace relay
