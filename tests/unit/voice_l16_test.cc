// The two drivers of raw audio: l16 over WebSocket, audiosocket over TCP.
#include <array>
#include <nlohmann/json.hpp>

#include "relay/voice/base64.h"
#include "tests/unit/voice_fixture.h"

namespace relay {
namespace {

using nlohmann::json;

struct L16Dialogue : VoiceDialogue {
  explicit L16Dialogue(VoiceProfile profile = {}, const VoiceCall& call = a_voice_call())
      : VoiceDialogue(make_l16_driver, std::move(profile), call) {}
  void start() {
    driver->connected(now);
    sink.take();
  }
};

struct AudiosocketDialogue : VoiceDialogue {
  explicit AudiosocketDialogue(VoiceProfile profile = {})
      : VoiceDialogue(make_audiosocket_driver, std::move(profile), a_voice_call()) {
    driver->connected(now);
    sink.take();
  }
  Lines hear(std::initializer_list<uint8_t> bytes) {
    return VoiceDialogue::hear(Octets(std::vector<uint8_t>(bytes)));
  }
};

std::string wav(uint16_t format, uint16_t channels, uint32_t rate, std::string_view samples) {
  const auto number = [](uint32_t value, size_t bytes) {
    std::string text;
    for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
    return text;
  };
  return "RIFF" + number(0xFFFFFFFF, 4) + "WAVE" + "LIST" + number(3, 4) + "abc" + '\0' + "fmt " +
         number(16, 4) + number(format, 2) + number(channels, 2) + number(rate, 4) + number(0, 4) +
         number(2, 2) + number(16, 2) + "data" + number(0xFFFFFFFF, 4) + std::string(samples);
}

std::string play_audio(const std::string& type, const std::string& content, int rate) {
  std::string base64;
  append_base64(base64, Octets(reinterpret_cast<const uint8_t*>(content.data()), content.size()));
  return json{
      {"type", "playAudio"},
      {"data", {{"audioContentType", type}, {"sampleRate", rate}, {"audioContent", base64}}}}
      .dump();
}

}  // namespace

TEST_CASE("l16: metadata first, then frames") {
  VoiceProfile profile;
  profile.parameters = {{"tenant", "t-${callee}"}};
  L16Dialogue dialogue(profile);
  dialogue.driver->connected(dialogue.now);
  CHECK(json::parse(dialogue.sink.sent.at(0)) == json{{"callSid", a_voice_call().session_id},
                                                      {"callId", "call-1@192.0.2.1"},
                                                      {"from", "+15550100"},
                                                      {"to", "600"},
                                                      {"sampleRate", 16000},
                                                      {"mixType", "mono"},
                                                      {"tenant", "t-600"}});
  CHECK(dialogue.sink.take().back() == "event started");
  CHECK(dialogue.frame() == Lines{"binary-audio 640 bytes"});
  std::vector<int16_t> samples(320);
  samples[0] = 0x1234;
  samples[1] = -2;
  dialogue.driver->frame(samples, dialogue.now);
  CHECK(dialogue.sink.sent.back().substr(0, 4) == "\x34\x12\xfe\xff");

  VoiceCall both = a_voice_call();
  both.stereo = true;
  L16Dialogue stereo({}, both);
  stereo.driver->connected(stereo.now);
  CHECK(json::parse(stereo.sink.sent.at(0))["mixType"] == "stereo");
  stereo.sink.take();
  CHECK(stereo.frame() == Lines{"binary-audio 1280 bytes"});
}

TEST_CASE("l16: each rate is told, and 20 ms of it sent") {
  for (const int hz : kVoiceRatesHz) {
    CAPTURE(hz);
    VoiceProfile profile;
    profile.rate_hz = hz;
    L16Dialogue dialogue(profile);
    dialogue.driver->connected(dialogue.now);
    CHECK(json::parse(dialogue.sink.sent.at(0))["sampleRate"] == hz);
    dialogue.sink.take();
    CHECK(dialogue.frame() == Lines{"binary-audio " + std::to_string(hz / 50 * 2) + " bytes"});
    const std::array<uint8_t, 2> sample{1, 0};
    CHECK(dialogue.hear(sample) == Lines{"play 1 samples at " + std::to_string(hz)});
    CHECK(dialogue.hear(play_audio("wav", wav(1, 1, static_cast<uint32_t>(hz), "ab"), 0))[0] ==
          "play 1 samples at " + std::to_string(hz));
  }
}

TEST_CASE("audiosocket: each rate has its type of record") {
  const std::string types{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16};
  for (size_t i = 0; i < types.size(); ++i) {
    CAPTURE(kVoiceRatesHz[i]);
    VoiceProfile profile;
    profile.rate_hz = kVoiceRatesHz[i];
    AudiosocketDialogue dialogue(profile);
    const size_t bytes = static_cast<size_t>(profile.rate_hz) / 50 * 2;
    CHECK(dialogue.frame() == Lines{"binary-audio " + std::to_string(bytes + 3) + " bytes"});
    CHECK(dialogue.sink.sent.back()[0] == types[i]);
  }
}

TEST_CASE("l16: audio cut anywhere is whole again") {
  VoiceProfile profile;
  profile.play_rate_hz = 24000;
  L16Dialogue dialogue(profile);
  dialogue.start();
  const std::array<uint8_t, 5> first{1, 0, 2, 0, 3};
  const std::array<uint8_t, 1> one{0};
  CHECK(dialogue.hear(first) == Lines{"play 2 samples at 24000"});
  CHECK(dialogue.hear(one) == Lines{"play 1 samples at 24000"});
  CHECK(dialogue.hear(Octets(one)).empty());
  CHECK(dialogue.sink.played == std::vector<int16_t>{1, 2, 3});
}

TEST_CASE("l16: what the server says") {
  struct Case {
    std::string description, message;
    Lines done;
    uint64_t ignored;
  };
  const Case cases[] = {
      {"flush", R"({"type":"killAudio"})", {"clear"}, 0},
      {"flush by another name", R"({"type":"clear"})", {"clear"}, 0},
      {"a mark", R"({"type":"mark","data":{"name":"x"}})", {"mark 1"}, 0},
      {"a mark without name", R"({"type":"mark","data":{}})", {}, 1},
      {"raw audio", play_audio("raw", "abcd", 8000), {"play 2 samples at 8000", "mark 1"}, 0},
      {"raw audio at no rate", play_audio("raw", "abcd", 0), {}, 1},
      {"wav",
       play_audio("wav", wav(1, 1, 16000, "abcdef"), 8000),
       {"play 3 samples at 16000", "mark 1"},
       0},
      {"stereo wav", play_audio("wav", wav(1, 2, 16000, "abcd"), 8000), {}, 1},
      {"a-law wav", play_audio("wav", wav(6, 1, 8000, "abcd"), 8000), {}, 1},
      {"half a wav", play_audio("wav", "RIFF", 8000), {}, 1},
      {"no audio", R"({"type":"playAudio","data":{}})", {}, 1},
      {"transcription", R"({"type":"transcription","text":"hi"})", {"event user-speech: hi"}, 0},
      {"disconnect", R"({"type":"disconnect"})", {"close 1000"}, 0},
      {"unknown", R"({"type":"transfer"})", {}, 1},
      {"not JSON", "x", {}, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    L16Dialogue dialogue;
    dialogue.start();
    CHECK(dialogue.hear(c.message) == c.done);
    CHECK(dialogue.counters.messages_ignored.get() == c.ignored);
  }
}

TEST_CASE("l16: marks say what became of them, playAudio that it is done") {
  L16Dialogue dialogue;
  dialogue.start();
  dialogue.hear(R"({"type":"mark","data":{"name":"x"}})");
  dialogue.hear(play_audio("raw", "abcd", 8000));
  dialogue.hear(R"({"type":"mark","data":{"name":"y"}})");
  dialogue.driver->mark_done(1, MarkFate::played);
  CHECK(dialogue.sink.take() ==
        Lines{R"(text {"data":{"event":"playout","name":"x"},"type":"mark"})"});
  CHECK(dialogue.hear(R"({"type":"clearMarks"})") ==
        Lines{R"(text {"data":{"event":"cleared","name":"y"},"type":"mark"})"});
  dialogue.driver->mark_done(2, MarkFate::played);
  CHECK(dialogue.sink.take() == Lines{R"(text {"type":"playDone"})"});
  dialogue.driver->mark_done(3, MarkFate::played);
  CHECK(dialogue.sink.take().empty());
}

TEST_CASE("l16: digits and the end") {
  L16Dialogue dialogue;
  dialogue.start();
  dialogue.driver->dtmf('5', milliseconds(200), dialogue.now);
  CHECK(dialogue.sink.take() == Lines{R"(text {"dtmf":"5","duration":"1600","event":"dtmf"})"});
  CHECK(dialogue.close(1000) == Lines{"event ended finished"});
}

TEST_CASE("audiosocket: the UUID first, then records") {
  VoiceProfile profile;
  profile.rate_hz = 8000;
  profile.url = "tcp://192.0.2.7:9092";
  VoiceDialogue dialogue(make_audiosocket_driver, profile, a_voice_call());
  CHECK(dialogue.driver->target().url == "tcp://192.0.2.7:9092");
  dialogue.driver->connected(dialogue.now);
  CHECK(dialogue.sink.sent.at(0) ==
        std::string("\x01\x00\x10", 3) +
            "\x75\xa6\x12\x6e\x42\x7f\x49\xa1\xa2\xc1\x62\x11\x43\xcb\x9d\xb3");
  dialogue.sink.take();
  CHECK(dialogue.frame() == Lines{"binary-audio 323 bytes"});
  CHECK(dialogue.sink.sent.back().substr(0, 3) == std::string("\x10\x01\x40", 3));
  dialogue.driver->dtmf('#', milliseconds(100), dialogue.now);
  CHECK(dialogue.sink.sent.back() == std::string("\x03\x00\x01#", 4));
  dialogue.driver->stop(dialogue.now);
  CHECK(dialogue.sink.sent.back() == std::string("\x00\x00\x00", 3));
  CHECK(dialogue.sink.take().back() == "close 1000");
}

TEST_CASE("audiosocket: records however the stream is cut") {
  const std::vector<uint8_t> stream{0x10, 0, 4, 1,    0, 2, 0, 0x12, 0, 2,    3, 0, 0x77,
                                    0,    1, 9, 0x10, 0, 3, 1, 2,    3, 0x13, 0, 0};
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    CAPTURE(piece);
    AudiosocketDialogue dialogue;
    Lines done;
    for (size_t at = 0; at < stream.size(); at += piece) {
      const size_t size = std::min(piece, stream.size() - at);
      dialogue.driver->binary(Octets(stream).subspan(at, size), dialogue.now);
    }
    CHECK(dialogue.sink.take() == Lines{"play 2 samples at 8000", "play 1 samples at 16000"});
    CHECK(dialogue.sink.played == std::vector<int16_t>{1, 2, 3});
    CHECK(dialogue.counters.messages_ignored.get() == 2);
    CHECK(dialogue.counters.messages_down.get() == 5);
  }
}

TEST_CASE("audiosocket: how it ends") {
  AudiosocketDialogue hung_up;
  CHECK(hung_up.hear({0, 0, 0, 0x10, 0, 2, 1, 0}) == Lines{"binary 3 bytes", "close 1000"});
  CHECK(hung_up.close(1000) == Lines{"event ended finished"});
  AudiosocketDialogue error;
  CHECK(error.hear({0xFF, 0, 1, 4}) ==
        Lines{"clear", "event call-error endpoint-refusal fatal: error record, code 4",
              "close 1000"});
  AudiosocketDialogue reset;
  CHECK(reset.close(1006).back() == "event ended failed");
}

}  // namespace relay
