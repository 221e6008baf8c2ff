#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "relay/voice/playout.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant(100s);

// The worker's side: takes a frame each 20 ms.
struct Worker {
  explicit Worker(VoicePath& path_in) : path(path_in) {}
  // Frames of the current epoch it spoke.
  bool tick() {
    SpokenFrame frame;
    while (path.spoken.pop(frame)) {
      path.frames_taken.fetch_add(1);
      if (frame.epoch == path.epoch.load()) {
        ++spoken;
        if (frame.starts_talk_spurt) ++spurts;
        return true;
      }
    }
    return false;
  }
  VoicePath& path;
  int spoken = 0, spurts = 0;
};

struct Fixture {
  explicit Fixture(Playout::Settings settings = {}) {
    auto made = Playout::make(settings, path);
    REQUIRE(made);
    playout = std::make_unique<Playout>(std::move(*made));
  }
  void pump() {
    playout->pump(now, [this](MarkId id, MarkFate fate) {
      told += (fate == MarkFate::played ? "p" : "c") + std::to_string(id) + " ";
    });
  }
  void tick() {
    now += 20ms;
    worker.tick();
    pump();
  }
  void play_ms(int ms, int rate_hz = 8000) {
    playout->play_samples(std::vector<int16_t>(static_cast<size_t>(rate_hz / 1000 * ms), 1000),
                          rate_hz);
  }
  std::shared_ptr<VoicePath> path = std::make_shared<VoicePath>();
  std::unique_ptr<Playout> playout;
  Worker worker{*path};
  Instant now = kStart;
  std::string told;
};

TEST_CASE("what is given is spoken in order, and marks are told when they are passed") {
  Fixture f;
  f.playout->mark(1);  // nothing before it
  f.pump();
  CHECK(f.told == "p1 ");
  f.play_ms(100);
  f.playout->mark(2);
  f.play_ms(40);
  f.playout->mark(3);
  f.playout->mark(4);
  f.pump();
  for (int i = 0; i < 4; ++i) f.tick();
  CHECK(f.told == "p1 ");
  f.tick();
  CHECK(f.told == "p1 p2 ");
  f.tick();
  f.tick();
  CHECK(f.told == "p1 p2 p3 p4 ");
  CHECK(f.worker.spoken == 7);
  CHECK(f.worker.spurts == 1);
  CHECK(f.playout->idle());
}

TEST_CASE("after a clear nothing of before is spoken") {
  Fixture f;
  f.play_ms(1000);
  f.playout->mark(1);
  f.playout->mark(2);
  f.pump();
  for (int i = 0; i < 5; ++i) f.tick();
  CHECK(f.playout->clear() == 900ms);
  CHECK(f.playout->played_of_reply() == 100ms);
  f.playout->mark(3);
  f.pump();
  CHECK(f.told == "c1 c2 p3 ");
  for (int i = 0; i < 5; ++i) f.tick();
  CHECK(f.worker.spoken == 5);
  CHECK(f.playout->clear() == 0ms);
  f.play_ms(40);
  f.playout->mark(4);
  f.pump();
  f.tick();
  f.tick();
  CHECK(f.worker.spoken == 7);
  CHECK(f.told == "c1 c2 p3 p4 ");
  CHECK(f.playout->played_of_reply() == 40ms);
}

TEST_CASE("pieces of any length make whole frames") {
  struct Case {
    std::string description;
    std::vector<int> pieces_ms;
    bool ends;
    int frames;
  };
  const std::vector<Case> cases = {
      {"one frame", {20}, false, 1},
      {"single milliseconds", std::vector<int>(45, 1), false, 3},  // the rest waits 40 ms
      {"a partial frame at the end of a reply", {30}, true, 2},
      {"a partial frame nobody ends", {30}, false, 2},
      {"ten seconds at once", {10000}, true, 500},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f;
    for (const int ms : c.pieces_ms) f.play_ms(ms);
    if (c.ends) f.playout->end_of_reply();
    f.pump();
    for (int i = 0; i < 510; ++i) f.tick();
    CHECK(f.worker.spoken == c.frames);
    CHECK(f.playout->counters().underruns == (c.ends ? 0 : f.playout->counters().underruns));
  }
}

TEST_CASE("a queue of two minutes drops what is beyond and counts it") {
  Fixture f;
  for (int i = 0; i < 130; ++i) f.play_ms(1000);
  CHECK(f.playout->queued() == 120s);
  CHECK(f.playout->counters().dropped_samples == 80000);
}

TEST_CASE("a prebuffer is waited for, and grows with an underrun") {
  Playout::Settings settings;
  settings.prebuffer = 60ms;
  Fixture f(settings);
  f.play_ms(40);
  f.pump();
  CHECK_FALSE(f.worker.tick());
  f.play_ms(20);
  f.pump();
  for (int i = 0; i < 4; ++i) f.tick();
  CHECK(f.worker.spoken == 3);
  f.play_ms(60);
  f.pump();
  CHECK(f.playout->counters().underruns == 1);
  CHECK_FALSE(f.worker.tick());
  f.play_ms(20);
  f.pump();
  CHECK(f.worker.tick());
  CHECK(f.worker.spurts == 2);
}

TEST_CASE("the end of a reply that nobody tells is no underrun") {
  Fixture f;
  for (int reply = 0; reply < 3; ++reply) {
    f.play_ms(40);
    f.pump();
    for (int i = 0; i < 20; ++i) f.tick();
    CHECK(f.worker.spoken == 2 * (reply + 1));
  }
  CHECK(f.playout->counters().underruns == 0);
  f.play_ms(20);
  f.pump();
  f.tick();
  CHECK(f.worker.spoken == 7);  // as soon as it is given
}

TEST_CASE("a reply shorter than the prebuffer is spoken when no more comes, and its mark told") {
  Playout::Settings settings;
  settings.prebuffer = 60ms;
  Fixture f(settings);
  f.play_ms(40);
  f.playout->mark(1);
  f.pump();
  f.tick();
  f.tick();
  CHECK(f.worker.spoken == 0);
  for (int i = 0; i < 4; ++i) f.tick();
  CHECK(f.worker.spoken == 2);
  CHECK(f.told == "p1 ");
}

TEST_CASE("other rates and G.711 come out at the codec's rate") {
  for (const int rate_hz : {8000, 16000, 24000}) {
    CAPTURE(rate_hz);
    Fixture f;
    f.play_ms(200, rate_hz);
    f.playout->end_of_reply();
    f.pump();
    for (int i = 0; i < 20; ++i) f.tick();
    CHECK(f.worker.spoken == 10);
  }
  Fixture f;
  f.playout->play_g711(AudioFormat::Encoding::pcma, std::vector<uint8_t>(320, 0xD5));
  f.pump();
  f.tick();
  f.tick();
  CHECK(f.worker.spoken == 2);
}

}  // namespace
}  // namespace relay
