#include "relay/media/resampler.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/audio_signals.h"

namespace relay {
namespace {

using testing::Samples;

// In blocks of 20 ms, as a stream is.
Samples resample(Resampler& resampler, std::span<const int16_t> in, uint32_t from_hz) {
  const size_t block = from_hz / 50;
  Samples all;
  std::array<int16_t, 4096> room{};
  while (!in.empty()) {
    const auto step = resampler.process(in.first(std::min(block, in.size())), room);
    REQUIRE(step.consumed > 0);
    all.insert(all.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(step.written));
    in = in.subspan(step.consumed);
  }
  return all;
}

}  // namespace

TEST_CASE("a tone keeps its shape from each rate to each") {
  for (const uint32_t from_hz : {8000U, 16000U, 24000U, 48000U}) {
    for (const uint32_t to_hz : {8000U, 16000U, 24000U, 48000U}) {
      CAPTURE(from_hz);
      CAPTURE(to_hz);
      auto resampler = Resampler::make(from_hz, to_hz);
      REQUIRE(resampler);
      const Samples in = testing::tone(from_hz, 1000, from_hz / 2);
      const Samples out = resample(*resampler, in, from_hz);
      CHECK(out.size() == to_hz / 2);
      const Samples expected = testing::tone(to_hz, 1000, to_hz / 2);
      // Past the filter's start; the delay is a part of a sample at times, which a tone of 1 kHz
      // at 8 kHz notices.
      const size_t start = to_hz / 50;
      const double loss = testing::energy(std::span(out).subspan(start)) /
                          testing::energy(std::span(expected).subspan(start));
      CHECK(loss == doctest::Approx(1.0).epsilon(0.01));
      if (from_hz == to_hz) CHECK(out == in);
    }
  }
}

TEST_CASE("what the lower rate cannot carry is removed, not folded") {
  auto resampler = Resampler::make(16000, 8000);
  REQUIRE(resampler);
  const Samples in = testing::tone(16000, 6000, 16000);
  const Samples out = resample(*resampler, in, 16000);
  CHECK(testing::energy(std::span(out).subspan(200)) < testing::energy(in) * 1e-7);
}

TEST_CASE("without its delay a file keeps its length and its place") {
  struct Case {
    std::string description;
    uint32_t from_hz, to_hz;
    double snr_min_db;
  };
  const std::vector<Case> cases = {
      {"16 to 8 kHz", 16000, 8000, 50},
      {"44.1 to 8 kHz", 44100, 8000, 50},
      {"8 to 48 kHz", 8000, 48000, 50},
      {"equal", 8000, 8000, 300},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    auto resampler = Resampler::make(c.from_hz, c.to_hz);
    REQUIRE(resampler);
    resampler->skip_delay();
    Samples in = testing::tone(c.from_hz, 440, c.from_hz);
    in.resize(in.size() + resampler->delay_samples());
    const Samples out = resample(*resampler, in, c.from_hz);
    REQUIRE(out.size() + 1 >= c.to_hz);
    const Samples expected = testing::tone(c.to_hz, 440, c.to_hz);
    // The tone starts and ends at full loudness, which a filter rounds off.
    const size_t edge = c.to_hz / 100;
    const double snr = testing::snr_db(std::span(expected).subspan(edge, c.to_hz - 2 * edge),
                                       std::span(out).subspan(edge));
    INFO("SNR ", snr, " dB");
    CHECK(snr >= c.snr_min_db);
  }
}

TEST_CASE("a full output and an empty input end a step") {
  auto resampler = Resampler::make(8000, 16000);
  REQUIRE(resampler);
  const Samples in = testing::tone(8000, 440, 160);
  Samples out(100);
  const auto full = resampler->process(in, out);
  CHECK(full.written == 100);
  CHECK(full.consumed < 160);
  CHECK(resampler->process({}, out).consumed == 0);
  CHECK(resampler->process(in, {}).written == 0);
}

TEST_CASE("a reset forgets the stream before") {
  auto resampler = Resampler::make(16000, 8000);
  REQUIRE(resampler);
  const Samples in = testing::tone(16000, 440, 1600);
  const Samples first = resample(*resampler, in, 16000);
  resampler->reset();
  CHECK(resample(*resampler, in, 16000) == first);
}

TEST_CASE("rates no sound has are refused") {
  CHECK_FALSE(Resampler::make(0, 8000));
  CHECK_FALSE(Resampler::make(8000, 3999));
  const auto refused = Resampler::make(8000, 192001);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("192001") != std::string::npos);
}

}  // namespace relay
