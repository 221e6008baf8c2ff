#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/media/g711.h"
#include "relay/voice/voice_dialogue.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

class Upstream final : public VoiceUpstream {
 public:
  void frame(Samples samples) override { frames.emplace_back(samples.begin(), samples.end()); }
  void frame_g711(Octets octets) override { g711.emplace_back(octets.begin(), octets.end()); }
  void mark_done(MarkId id, MarkFate fate) override {
    marks += (fate == MarkFate::played ? "p" : "c") + std::to_string(id) + " ";
  }
  void barge_in() override { ++barge_ins; }
  void barge_in_over() override { ++barge_ins_over; }
  std::vector<std::vector<int16_t>> frames;
  std::vector<std::vector<uint8_t>> g711;
  std::string marks;
  int barge_ins = 0, barge_ins_over = 0;
};

struct Fixture {
  explicit Fixture(VoiceDialogueSettings settings) {
    near = settings.near.path = std::make_shared<VoicePath>();
    if (settings.far.speaks || settings.mixes || settings.up.channels == 2) {
      far = settings.far.path = std::make_shared<VoicePath>();
    }
    auto made = VoiceDialogue::make(
        settings, measures, [this](const VoiceEvent&) { ++events; },
        [this](const KeyPress& press) { digits += press.digit; });
    REQUIRE(made);
    dialogue = std::move(*made);
  }
  // 20 ms of a party, of one level.
  void say(VoicePath& path, int16_t level) {
    say(path, [&](size_t i) { return i % 2 == 0 ? level : int16_t(-level); });
  }
  // 20 ms of 400 Hz, which every rate has.
  void say_tone(VoicePath& path, double amplitude) {
    say(path, [&](size_t i) {
      return static_cast<int16_t>(amplitude * std::sin(2 * M_PI * static_cast<double>(i) / 20));
    });
  }
  void say(VoicePath& path, const std::function<int16_t(size_t)>& sample) {
    HeardPacket packet;
    packet.arrival_ns = to_ns(now);
    packet.ssrc = 1;
    packet.sequence = (&path == near.get() ? near_sequence : far_sequence)++;
    packet.payload_bytes = 160;
    for (size_t i = 0; i < 160; ++i) packet.payload[i] = std::byte{g711::linear_to_mu(sample(i))};
    CHECK(path.heard.push(std::move(packet)));
  }
  // The workers take a frame each; what the near one got is noted.
  void tick() {
    dialogue->run(now, upstream);
    for (VoicePath* path : {near.get(), far.get()}) {
      SpokenFrame frame;
      if (path == nullptr || !path->spoken.pop(frame)) continue;
      path->frames_taken.fetch_add(1);
      path->frames_spoken.add();
      path->last_spoken_ns.store(to_ns(steady_now()));
      if (path == near.get()) {
        spoken.push_back(std::abs(g711::mu_to_linear(static_cast<uint8_t>(frame.payload[80]))));
      }
    }
    now += 20ms;
  }
  VoiceMeasures measures;
  std::shared_ptr<VoicePath> near, far;
  std::unique_ptr<VoiceDialogue> dialogue;
  Upstream upstream;
  Instant now = Instant(100s);
  uint16_t near_sequence = 0, far_sequence = 0;
  int events = 0;
  std::string digits;
  std::vector<int> spoken;
};

VoiceDialogueSettings replacing() {
  VoiceDialogueSettings settings;
  settings.near.speaks = true;
  return settings;
}

TEST_CASE("frames go up in the format of the driver") {
  for (const auto encoding :
       {AudioFormat::Encoding::s16, AudioFormat::Encoding::pcmu, AudioFormat::Encoding::pcma}) {
    VoiceDialogueSettings settings = replacing();
    settings.up = {encoding, 8000, 1};
    Fixture f(settings);
    for (int i = 0; i < 50; ++i) {
      f.say(*f.near, 4000);
      f.tick();
    }
    const bool is_s16 = encoding == AudioFormat::Encoding::s16;
    CHECK(f.upstream.frames.size() == (is_s16 ? 50 : 0));
    CHECK(f.upstream.g711.size() == (is_s16 ? 0 : 50));
    const int16_t sample = is_s16 ? f.upstream.frames.back()[40]
                           : encoding == AudioFormat::Encoding::pcmu
                               ? g711::mu_to_linear(f.upstream.g711.back()[40])
                               : g711::a_to_linear(f.upstream.g711.back()[40]);
    CHECK(std::abs(std::abs(sample) - 4000) < 300);
  }
}

TEST_CASE("every rate goes up and comes down, with and without cancelling the echo") {
  for (const int hz : kVoiceRatesHz) {
    for (const auto echo_tail : {0ms, 128ms}) {
      CAPTURE(hz);
      CAPTURE(echo_tail.count());
      VoiceDialogueSettings settings = replacing();
      settings.up = {AudioFormat::Encoding::s16, hz, 1};
      settings.echo_tail = echo_tail;
      Fixture f(settings);
      const auto frame_samples = static_cast<size_t>(hz / 50);
      f.dialogue->play_samples(std::vector<int16_t>(frame_samples * 50, 6000), hz);
      f.dialogue->end_of_reply();
      for (int i = 0; i < 60; ++i) {
        f.say_tone(*f.near, 4000);
        f.tick();
      }
      REQUIRE(f.upstream.frames.size() >= 59);
      CHECK(f.upstream.frames.back().size() == frame_samples);
      const auto loudest =
          std::max_element(f.upstream.frames[40].begin(), f.upstream.frames[40].end());
      CHECK(*loudest > 2000);
      REQUIRE(f.spoken.size() >= 49);
      CHECK(f.spoken.size() <= 51);
      CHECK(std::abs(f.spoken[25] - 6000) < 300);
    }
  }
}

TEST_CASE("two channels carry the caller left and the other party right") {
  VoiceDialogueSettings settings;
  settings.up = {AudioFormat::Encoding::s16, 8000, 2};
  Fixture f(settings);
  for (int i = 0; i < 20; ++i) {
    f.say(*f.near, 4000);
    f.say(*f.far, 1000);
    f.tick();
  }
  REQUIRE(f.upstream.frames.size() == 20);
  const auto& frame = f.upstream.frames.back();
  REQUIRE(frame.size() == 320);
  CHECK(std::abs(std::abs(frame[80]) - 4000) < 300);
  CHECK(std::abs(std::abs(frame[81]) - 1000) < 100);
}

TEST_CASE("what is mixed: the endpoint, and the other party below it") {
  VoiceDialogueSettings settings = replacing();
  settings.mixes = true;
  Fixture f(settings);
  for (int i = 0; i < 20; ++i) {
    f.say(*f.far, 2000);
    f.tick();
  }
  REQUIRE(f.spoken.size() >= 18);
  CHECK(std::abs(f.spoken.back() - 2000) < 100);
  f.dialogue->play_samples(std::vector<int16_t>(160 * 20, 8000), 8000);
  for (int i = 0; i < 10; ++i) {
    f.say(*f.far, 2000);
    f.tick();
  }
  CHECK(std::abs(f.spoken.back() - 8000) <= 1300);  // 8000 with 1000 above or below
  CHECK(std::abs(f.spoken.back() - 8000) >= 700);
}

TEST_CASE("an endpoint that nobody hears gets its marks back") {
  VoiceDialogueSettings settings;
  Fixture f(settings);
  f.dialogue->mark(1);
  f.dialogue->play_samples(std::vector<int16_t>(1600, 1), 8000);
  f.dialogue->mark(2);
  CHECK(f.dialogue->clear() == 0ms);
  f.tick();
  CHECK(f.upstream.marks == "p1 p2 ");
}

TEST_CASE("a turn is timed from the caller's last word to the answer's first frame") {
  Fixture f(replacing());
  f.now = steady_now();
  for (int i = 0; i < 30; ++i) {
    f.say(*f.near, i < 10 ? 20 : 8000);
    f.tick();
  }
  f.dialogue->play_samples(std::vector<int16_t>(1600, 8000), 8000);
  for (int i = 0; i < 10; ++i) f.tick();
  CHECK(f.measures.turn.count() == 1);
  CHECK(f.measures.down.count() == 1);
  CHECK(f.measures.up.count() > 0);
  CHECK(f.dialogue->queued() < 100ms);
}

TEST_CASE("an answer's delay is that of its first frame, however many have left since") {
  Fixture f(replacing());
  f.now = steady_now();
  f.dialogue->run(f.now, f.upstream);
  const Instant before = steady_now();
  f.dialogue->play_samples(std::vector<int16_t>(1600, 8000), 8000);
  f.dialogue->run(f.now, f.upstream);
  f.near->last_spoken_ns.store(to_ns(before + 10s));
  f.near->frames_taken.fetch_add(3);
  for (int i = 0; i < 3; ++i) f.near->frames_spoken.add();
  f.dialogue->run(f.now, f.upstream);
  CHECK(f.measures.down.count() == 1);
  CHECK(f.measures.down.sum() <= 9960ms);
}

TEST_CASE("the caller speaking over the endpoint is an interruption where that is asked for") {
  struct Case {
    std::string description;
    Duration after;
    bool endpoint_speaks;
    int frames, barge_ins, over;
  };
  const std::vector<Case> cases = {
      {"left to the endpoint", 0ms, true, 60, 0, 0},
      {"asked for", 300ms, true, 60, 1, 0},
      {"and the caller has finished", 300ms, true, 30, 1, 1},
      {"too short a word", 300ms, true, 6, 0, 0},
      {"nothing to interrupt", 300ms, false, 30, 0, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    VoiceDialogueSettings settings = replacing();
    settings.barge_in_after = c.after;
    Fixture f(settings);
    for (int i = 0; i < 10; ++i) {
      f.say(*f.near, 20);
      f.tick();
    }
    if (c.endpoint_speaks) f.dialogue->play_samples(std::vector<int16_t>(80000, 8000), 8000);
    for (int i = 0; i < 60; ++i) {
      f.say(*f.near, i < c.frames ? 8000 : 20);
      f.tick();
    }
    CHECK(f.upstream.barge_ins == c.barge_ins);
    CHECK(f.upstream.barge_ins_over == c.over);
  }
}

// The party's phone gives back what it hears, 120 ms later and at half the level.
double energy_of_echo(std::chrono::milliseconds echo_tail) {
  VoiceDialogueSettings settings = replacing();
  settings.up = {AudioFormat::Encoding::s16, 16000, 1};
  settings.echo_tail = echo_tail;
  Fixture f(settings);
  std::deque<std::array<std::byte, 160>> ear(6);
  uint32_t random = 1;
  double energy = 0;
  for (int n = 0; n < 300; ++n) {
    std::vector<int16_t> noise(160);
    for (int16_t& sample : noise) {
      random = random * 1664525 + 1013904223;
      sample = static_cast<int16_t>(static_cast<int>(random >> 19) - 4096);
    }
    f.dialogue->play_samples(noise, 8000);
    HeardPacket packet;
    packet.arrival_ns = to_ns(f.now);
    packet.ssrc = 1;
    packet.sequence = static_cast<uint16_t>(n);
    packet.payload_bytes = 160;
    for (size_t i = 0; i < 160; ++i) {
      const int16_t heard = g711::mu_to_linear(static_cast<uint8_t>(ear.front()[i]));
      packet.payload[i] = std::byte{g711::linear_to_mu(static_cast<int16_t>(heard / 2))};
    }
    ear.pop_front();
    CHECK(f.near->heard.push(std::move(packet)));
    f.dialogue->run(f.now, f.upstream);
    SpokenFrame frame;
    auto& told = ear.emplace_back();
    told.fill(std::byte{0xFF});
    if (f.near->spoken.pop(frame)) {
      std::copy_n(frame.payload.begin(), told.size(), told.begin());
      f.near->frames_taken.fetch_add(1);
      f.near->frames_spoken.add();
      f.near->last_slot_ns.store(to_ns(f.now));
    }
    f.now += 20ms;
    if (n < 250 || f.upstream.frames.empty()) continue;
    for (const int16_t sample : f.upstream.frames.back()) energy += double(sample) * sample;
  }
  return energy;
}

TEST_CASE("the echo of what the endpoint says does not go up to it, if that is wanted") {
  const double echo = energy_of_echo(0ms), left = energy_of_echo(256ms);
  CHECK(echo > 50.0 * 320 * 500 * 500);
  CHECK(left < echo / 10);
}

}  // namespace
}  // namespace relay
