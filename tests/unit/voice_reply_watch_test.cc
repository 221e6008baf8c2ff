// Replies that are late or stop, on a clock moved by hand.
#include "relay/voice/reply_watch.h"

#include "voice_fixture.h"

namespace relay {
namespace {

using Finding = ReplyWatch::Finding;
using namespace std::chrono_literals;

constexpr Instant kBegin = Instant{} + 1h;

}  // namespace

TEST_CASE("a reply that is late is told once, unless there is audio or no turn") {
  struct Case {
    std::string description;
    Duration audio_after;  // of the turn's end; zero: none
    bool settled;
    Finding at_3s;
  };
  const std::vector<Case> cases = {
      {"nothing comes", 0ms, false, Finding::late},
      {"audio comes just in time", 2990ms, false, Finding::none},
      {"the caller goes on", 0ms, true, Finding::none},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    ReplyWatch watch(3s, 2s);
    CHECK(watch.look(kBegin) == Finding::none);
    watch.turn_ended(kBegin);
    CHECK(watch.look(kBegin + 2999ms) == Finding::none);
    if (c.audio_after > 0ms) watch.audio(20ms);
    if (c.settled) watch.turn_settled();
    CHECK(watch.look(kBegin + 3s) == c.at_3s);
    CHECK(watch.look(kBegin + 10s) == Finding::none);
    watch.turn_ended(kBegin + 10s);
    CHECK(watch.look(kBegin + 13s) == Finding::late);
  }
}

TEST_CASE("silence in a reply counts from when all that came has been heard") {
  ReplyWatch watch(3s, 2s);
  watch.reply_began(kBegin);
  CHECK(watch.look(kBegin + 1999ms) == Finding::none);
  // Five seconds at once: the endpoint may think as long.
  watch.audio(5s);
  CHECK(watch.look(kBegin + 1999ms) == Finding::none);
  watch.audio(1s);
  CHECK(watch.look(kBegin + 2s) == Finding::none);
  CHECK(watch.look(kBegin + 1999ms + 6s + 2s - 1ms) == Finding::none);
  CHECK(watch.look(kBegin + 1999ms + 6s + 2s) == Finding::stalled);
  CHECK(watch.look(kBegin + 20s) == Finding::none);
  // It goes on, and stops again.
  watch.audio(1s);
  CHECK(watch.look(kBegin + 20s) == Finding::none);
  CHECK(watch.look(kBegin + 22s) == Finding::none);
  CHECK(watch.look(kBegin + 23s) == Finding::stalled);
}

TEST_CASE("a reply that has ended or was cut does not stall") {
  for (const bool cut : {true, false}) {
    CAPTURE(cut);
    ReplyWatch watch(3s, 2s);
    watch.reply_began(kBegin);
    watch.audio(1s);
    CHECK(watch.look(kBegin) == Finding::none);
    if (cut) {
      watch.interrupted();
    } else {
      watch.reply_ended();
    }
    CHECK(watch.look(kBegin + 1min) == Finding::none);
    // What was cut is not waited for by the next one.
    watch.reply_began(kBegin + 1min);
    CHECK(watch.look(kBegin + 1min + 2s) == Finding::stalled);
  }
  ReplyWatch never(0s, 0s);
  never.turn_ended(kBegin);
  never.reply_began(kBegin);
  CHECK(never.look(kBegin + 1h) == Finding::none);
}

TEST_CASE("openai: a late reply and a stall are told, and the dialogue goes on") {
  VoiceProfile profile;
  profile.driver = VoiceDriverKind::openai;
  profile.dialect = VoiceDialect::openai;
  profile.audio = VoiceAudio::pcmu;
  VoiceDialogue dialogue(&make_openai_driver, profile, a_voice_call());
  dialogue.driver->connected(dialogue.now);
  dialogue.hear(R"({"type":"session.created"})");
  dialogue.hear(R"({"type":"session.updated"})");
  dialogue.hear(R"({"type":"input_audio_buffer.speech_stopped"})");
  CHECK(dialogue.tick_after(milliseconds(2999)) == Lines{});
  CHECK(dialogue.tick_after(milliseconds(1)) == Lines{"event reply-late: no audio for 3000 ms"});
  CHECK(dialogue.tick_after(milliseconds(100)) == Lines{});
  const std::string delta =
      R"({"type":"response.output_audio.delta","response_id":"r1","item_id":"i1","delta":")" +
      std::string(2136, '/') + R"("})";  // 1602 octets: 200 ms
  CHECK(dialogue.hear(delta) == Lines{"play 1602 octets of pcmu"});
  CHECK(dialogue.tick_after(milliseconds(50)) == Lines{});
  CHECK(dialogue.tick_after(milliseconds(2200)) == Lines{});
  CHECK(dialogue.tick_after(milliseconds(1)) ==
        Lines{"end of reply", "event reply-stalled: no more audio for 2000 ms"});
  CHECK(dialogue.hear(delta) == Lines{"play 1602 octets of pcmu"});
  CHECK(dialogue.tick_after(milliseconds(50)) == Lines{});
  CHECK(dialogue.hear(R"({"type":"response.output_audio.done"})") == Lines{"end of reply"});
  CHECK(dialogue.tick_after(milliseconds(20'000)) == Lines{});
  CHECK(dialogue.counters.replies_late.get() == 1);
  CHECK(dialogue.counters.replies_stalled.get() == 1);
}

}  // namespace relay
