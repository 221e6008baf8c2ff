#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "relay/media/g711.h"
#include "relay/voice/uplink.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant(100s);
constexpr size_t kFrameSamples = 160;

int16_t tone(uint64_t sample) {
  const double phase = 2 * std::numbers::pi * 400.0 * static_cast<double>(sample) / 8000.0;
  return static_cast<int16_t>(8000 * std::sin(phase));
}

// 20 ms of the tone as PCMU, the `number`th.
HeardPacket packet(uint16_t number, Instant arrival, uint32_t ssrc = 7) {
  HeardPacket heard;
  heard.arrival_ns = to_ns(arrival);
  heard.sequence = number;
  heard.timestamp = uint32_t{number} * 160;
  heard.ssrc = ssrc;
  heard.payload_bytes = 160;
  for (size_t i = 0; i < 160; ++i) {
    heard.payload[i] = std::byte{g711::linear_to_mu(tone(size_t{number} * 160 + i))};
  }
  return heard;
}

double loudness(std::span<const int16_t> frame) {
  double sum = 0;
  for (const int16_t sample : frame) sum += double{static_cast<double>(sample)} * sample;
  return std::sqrt(sum / static_cast<double>(frame.size()));
}

struct Arrival {
  uint16_t number;
  Duration at;  // after the start
};

struct Run {
  struct Frame {
    Duration at;
    double loudness;
  };
  std::vector<Frame> frames;
  UplinkCounters counters;
  Duration buffered{};
};

// Feeds the arrivals and asks every millisecond.
Run run(const std::vector<Arrival>& arrivals, Duration length) {
  auto uplink = Uplink::make(PayloadTypes{}, 8000);
  REQUIRE(uplink);
  Run result;
  const auto no_key = [](const KeyPress&) {};
  std::vector<int16_t> frame(kFrameSamples);
  size_t next = 0;
  for (Duration now{0}; now < length; now += 1ms) {
    for (; next < arrivals.size() && arrivals[next].at <= now; ++next) {
      uplink->push(packet(arrivals[next].number, kStart + now), no_key);
    }
    while (uplink->next(kStart + now, frame, no_key)) {
      result.frames.push_back({now, loudness(frame)});
    }
  }
  result.counters = uplink->counters();
  result.buffered = uplink->buffered();
  return result;
}

std::vector<Arrival> steady(uint16_t count, Duration offset = 0ms) {
  std::vector<Arrival> arrivals;
  for (uint16_t i = 0; i < count; ++i) arrivals.push_back({i, offset + i * Duration(20ms)});
  return arrivals;
}

TEST_CASE("frames leave at an even pace, whatever comes") {
  struct Case {
    std::string description;
    std::vector<Arrival> arrivals;
    uint64_t concealed, noise, late;
    size_t loud_frames_min;
  };
  std::vector<Arrival> one_lost = steady(50);
  one_lost.erase(one_lost.begin() + 20);
  std::vector<Arrival> swapped = steady(50);
  std::swap(swapped[20].number, swapped[21].number);
  std::vector<Arrival> pause = steady(20);
  for (const Arrival& arrival : steady(20, 600ms)) {
    pause.push_back({static_cast<uint16_t>(arrival.number + 20), arrival.at});
  }
  std::vector<Arrival> jittery = steady(50);
  for (size_t i = 0; i < jittery.size(); i += 3) jittery[i].at += 8ms;
  std::vector<Arrival> twice = steady(50);
  twice.insert(twice.begin() + 10, twice[9]);
  const std::vector<Case> cases = {
      {"steady", steady(50), 0, 0, 0, 50},
      {"nothing at all", {}, 0, 45, 0, 0},
      {"one lost is concealed once", one_lost, 1, 0, 0, 49},
      {"two swapped", swapped, 0, 0, 0, 49},
      {"a pause is noise after its concealment", pause, 2, 5, 0, 40},
      {"jitter of 8 ms", jittery, 0, 0, 0, 50},
      {"a duplicate is late", twice, 0, 0, 1, 50},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Run result = run(c.arrivals, 1s);
    CHECK(result.frames.size() >= 47);
    CHECK(result.frames.size() <= 51);
    for (size_t i = 1; i < result.frames.size(); ++i) {
      CHECK(result.frames[i].at - result.frames[i - 1].at <= 66ms);
    }
    CHECK(result.counters.late == c.late);
    CHECK(result.counters.concealed_frames >= c.concealed);
    CHECK(result.counters.concealed_frames <= c.concealed + 3);
    if (c.noise == 0) CHECK(result.counters.noise_frames <= 1);
    if (c.noise > 0) CHECK(result.counters.noise_frames >= c.noise);
    size_t loud = 0;
    for (const Run::Frame& frame : result.frames) {
      CHECK(frame.loudness > 1);  // never digital silence
      if (frame.loudness > 2000) ++loud;
    }
    CHECK(loud + 1 >= c.loud_frames_min);
    CHECK(result.buffered < 40ms);
  }
}

TEST_CASE("a frame leaves as soon as its packet is there") {
  for (const Duration offset : {Duration(0ms), Duration(7ms), Duration(13ms), Duration(19ms)}) {
    CAPTURE(offset.count());
    const Run result = run(steady(100, 200ms + offset), 2s);
    for (const Run::Frame& frame : result.frames) {
      if (frame.at < 300ms + offset || frame.at > 1900ms) continue;
      CHECK((frame.at - offset) % 20ms == 0ms);
    }
  }
}

TEST_CASE("what came late does not hold up what follows") {
  for (const Duration late : {Duration(30ms), Duration(55ms), Duration(75ms)}) {
    CAPTURE(late.count());
    std::vector<Arrival> arrivals = steady(200);
    const Duration resumed = arrivals[20].at + late;
    for (Arrival& arrival : arrivals) {
      if (arrival.number >= 20) arrival.at = std::max(arrival.at, resumed);
    }
    const Run result = run(arrivals, 4s);
    CHECK(result.buffered == 0ms);
    // The last second: each frame with its packet.
    for (size_t i = result.frames.size() - 50; i < result.frames.size(); ++i) {
      CHECK(result.frames[i].at % 20ms <= 1ms);
    }
  }
}

TEST_CASE("what was said during a halt goes up whole") {
  // Nobody asks for `length`; then packets come one at a time, `later` than the first question.
  for (const Duration length : {Duration(60ms), Duration(90ms), Duration(110ms), Duration(400ms)}) {
    for (const Duration later : {Duration(0ms), Duration(3ms)}) {
      CAPTURE(length.count());
      CAPTURE(later.count());
      auto uplink = Uplink::make(PayloadTypes{}, 8000);
      REQUIRE(uplink);
      const auto no_key = [](const KeyPress&) {};
      std::vector<int16_t> frame(kFrameSamples);
      const Duration halted = 1001ms, resumed = halted + length;
      uint16_t sent = 0;
      uint64_t frames = 0;
      for (Duration now{0}; now < 6s; now += now == halted ? length : Duration(1ms)) {
        const auto ask = [&] {
          while (uplink->next(kStart + now, frame, no_key)) ++frames;
        };
        ask();
        if (now >= resumed && now < resumed + later) continue;
        for (; sent * Duration(20ms) <= now; ++sent) {
          uplink->push(packet(sent, kStart + now), no_key);
          ask();
        }
      }
      CHECK(uplink->counters().skipped_frames == 0);
      CHECK(uplink->counters().concealed_frames == 0);
      CHECK(uplink->counters().noise_frames == 0);
      CHECK(frames == sent);
    }
  }
}

TEST_CASE("noise for a halt does not go up at once") {
  auto uplink = Uplink::make(PayloadTypes{}, 8000);
  REQUIRE(uplink);
  const auto no_key = [](const KeyPress&) {};
  std::vector<int16_t> frame(kFrameSamples);
  uplink->push(packet(0, kStart), no_key);
  CHECK(uplink->next(kStart, frame, no_key));
  size_t frames = 0;
  for (Duration now = 500ms; now < 560ms; now += 1ms) {
    while (uplink->next(kStart + now, frame, no_key)) ++frames;
  }
  CHECK(frames <= 3);
}

TEST_CASE("lag from a burst is worked off") {
  std::vector<Arrival> arrivals = steady(20);
  for (uint16_t i = 20; i < 30; ++i) arrivals.push_back({i, 600ms});  // all at once
  for (uint16_t i = 30; i < 500; ++i) {
    arrivals.push_back({i, i * Duration(20ms)});
  }
  const Run result = run(arrivals, 10s);
  CHECK(result.counters.skipped_frames > 0);
  CHECK(result.buffered <= 60ms);
}

TEST_CASE("key presses are told once each and never sound") {
  auto uplink = Uplink::make(PayloadTypes{}, 8000);
  REQUIRE(uplink);
  std::string digits;
  std::vector<int64_t> durations_ms;
  const auto on_key = [&](const KeyPress& press) {
    digits += press.digit;
    durations_ms.push_back(press.duration.count());
  };
  uint16_t sequence = 0;
  const auto event = [&](uint8_t code, bool end, uint16_t duration, uint32_t timestamp,
                         Duration at) {
    HeardPacket heard;
    heard.payload_type = 101;
    heard.sequence = sequence++;
    heard.timestamp = timestamp;
    heard.ssrc = 7;
    heard.arrival_ns = to_ns(kStart + at);
    heard.payload_bytes = 4;
    heard.payload[0] = std::byte{code};
    heard.payload[1] = end ? std::byte{0x8A} : std::byte{0x0A};
    heard.payload[2] = static_cast<std::byte>(duration >> 8);
    heard.payload[3] = static_cast<std::byte>(duration & 0xFF);
    uplink->push(heard, on_key);
  };
  event(5, false, 160, 1000, 0ms);
  event(5, false, 320, 1000, 20ms);
  for (int i = 0; i < 3; ++i) event(5, true, 800, 1000, 40ms);
  event(11, false, 160, 3000, 200ms);  // '#', whose end packets are lost
  std::vector<int16_t> frame(kFrameSamples);
  for (Duration now = 0ms; now < 600ms; now += 10ms) uplink->next(kStart + now, frame, on_key);
  event(16, true, 160, 9000, 700ms);  // a flash is no digit
  CHECK(digits == "5#");
  CHECK(durations_ms == std::vector<int64_t>{100, 20});
}

TEST_CASE("packets that are not heard are counted") {
  auto uplink = Uplink::make(PayloadTypes{}, 8000);
  REQUIRE(uplink);
  const auto push = [&](uint16_t number, uint8_t payload_type, uint16_t bytes, uint32_t ssrc) {
    HeardPacket heard = packet(number, kStart, ssrc);
    heard.payload_type = payload_type;
    heard.payload_bytes = bytes;
    uplink->push(heard, [](const KeyPress&) {});
  };
  push(1, 96, 160, 7);
  CHECK(uplink->counters().unreadable == 1);
  push(1, 0, 0, 7);
  CHECK(uplink->counters().unreadable == 2);
  push(1, 0, 160, 7);
  CHECK(uplink->counters().late == 1);
  push(4, 0, 160, 7);
  push(4, 0, 160, 7);
  CHECK(uplink->counters().late == 2);
  push(5, 0, 160, 7);
  push(1, 0, 160, 8);  // another stream; two packets waited behind the gap
  CHECK(uplink->counters().late == 4);
  CHECK(uplink->counters().packets == 7);
}

TEST_CASE("how long a key was pressed is counted by its payload type's clock") {
  for (const uint32_t clock_khz : {8U, 48U}) {
    CAPTURE(clock_khz);
    PayloadTypes types;
    REQUIRE(types.set(110, "telephone-event/" + std::to_string(clock_khz * 1000)));
    auto uplink = Uplink::make(types, 8000);
    REQUIRE(uplink);
    HeardPacket event;
    event.arrival_ns = to_ns(kStart);
    event.payload_type = 110;
    event.payload_bytes = 4;
    const uint32_t duration = 120 * clock_khz;
    event.payload[0] = std::byte{5};
    event.payload[1] = std::byte{0x80};
    event.payload[2] = static_cast<std::byte>(duration >> 8);
    event.payload[3] = static_cast<std::byte>(duration & 0xFF);
    std::vector<KeyPress> presses;
    uplink->push(event, [&](const KeyPress& press) { presses.push_back(press); });
    REQUIRE(presses.size() == 1);
    CHECK(presses[0].digit == '5');
    CHECK(presses[0].duration == 120ms);
  }
}

}  // namespace
}  // namespace relay
