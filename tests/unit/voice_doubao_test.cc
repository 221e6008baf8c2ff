// Both of Doubao's dialogues: the way in, a turn, an interruption, the way out.
#include <array>
#include <nlohmann/json.hpp>

#include "relay/voice/doubao_frame.h"
#include "tests/unit/voice_fixture.h"

namespace relay {
namespace {

using nlohmann::json;
using Event = DoubaoFrame::Event;
using Type = DoubaoFrame::Type;

struct V1Dialogue : VoiceDialogue {
  explicit V1Dialogue(VoiceProfile profile = {}, const VoiceCall& call = a_voice_call())
      : VoiceDialogue(make_doubao_v1_driver, std::move(profile), call) {}

  Lines say(int event, std::string_view payload = "{}", Type type = Type::full_response) {
    DoubaoFrame frame;
    frame.type = type;
    frame.is_json = type != Type::audio_response;
    frame.event = static_cast<Event>(event);
    frame.id = event < 100 ? "connection" : "session";
    frame.payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    std::vector<uint8_t> bytes;
    encode_doubao_frame(frame, bytes);
    return VoiceDialogue::hear(Octets(bytes));
  }
  Lines audio(size_t bytes) { return say(352, std::string(bytes, 'a'), Type::audio_response); }
  void start() {
    driver->connected(now);
    say(50);
    say(150);
  }
  // The last message sent, as a frame; it keeps the bytes.
  DoubaoFrame last_sent() {
    const std::string& bytes = sink.sent.back();
    const auto frame =
        parse_doubao_frame({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    REQUIRE(frame.has_value());
    return *frame;
  }
  json last_body() {
    const Octets payload = last_sent().payload;
    return json::parse(payload.begin(), payload.end());
  }
};

struct V3Dialogue : VoiceDialogue {
  explicit V3Dialogue(VoiceProfile profile = {})
      : VoiceDialogue(make_doubao_v3_driver, std::move(profile), a_voice_call()) {}
  void start() {
    driver->connected(now);
    hear(R"({"type":"session.created"})");
  }
};

}  // namespace

TEST_CASE("doubao v1: the way in, and nothing before its time") {
  V1Dialogue dialogue;
  dialogue.driver->connected(dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"binary 14 bytes"});
  CHECK(dialogue.last_sent().event == Event::start_connection);
  CHECK(dialogue.frame().empty());
  CHECK(dialogue.counters.frames_up_unsent.get() == 1);
  dialogue.say(50);
  CHECK(dialogue.last_sent().event == Event::start_session);
  CHECK(dialogue.last_sent().id == a_voice_call().session_id);
  CHECK(dialogue.frame().empty());
  CHECK(dialogue.say(150, R"({"dialog_id":"d"})") == Lines{"event started"});
  CHECK(dialogue.frame() == Lines{"binary-audio 692 bytes"});
  CHECK(dialogue.last_sent().type == Type::audio_request);
  CHECK(dialogue.last_sent().payload.size() == 640);
}

TEST_CASE("doubao v1: StartSession is the operator's, its audio ours") {
  VoiceProfile profile;
  profile.end_smooth_window_ms = 700;
  profile.session_template = R"({"asr":{"audio_info":{"format":"speech_opus"}},
    "tts":{"speaker":"zh_female_vv_jupiter_bigtts",
           "audio_config":{"format":"ogg_opus","speech_rate":10}},
    "dialog":{"bot_name":"for ${caller} \"x\"","extra":{"model":"O","recv_timeout":30}}})";
  VoiceCall call = a_voice_call();
  call.caller = "\"},\"x\":{\"";
  V1Dialogue dialogue(profile, call);
  dialogue.driver->connected(dialogue.now);
  dialogue.say(50);
  CHECK(dialogue.last_body() ==
        json{{"asr",
              {{"audio_info", {{"format", "pcm"}, {"sample_rate", 16000}, {"channel", 1}}},
               {"extra", {{"end_smooth_window_ms", 700}}}}},
             {"tts",
              {{"speaker", "zh_female_vv_jupiter_bigtts"},
               {"audio_config",
                {{"format", "pcm_s16le"},
                 {"sample_rate", 24000},
                 {"channel", 1},
                 {"speech_rate", 10}}}}},
             {"dialog",
              {{"bot_name", "for \"},\"x\":{\" \"x\""},
               {"extra", {{"model", "O"}, {"recv_timeout", 30}, {"input_mod", "keep_alive"}}}}}});

  V1Dialogue plain;
  plain.driver->connected(plain.now);
  plain.say(50);
  CHECK(plain.last_body()["asr"]["extra"]["end_smooth_window_ms"] == 600);
  CHECK(plain.last_body()["dialog"]["extra"]["model"] == "1.2.1.1");

  VoiceProfile odd;
  odd.session_template = R"({"asr":7,"tts":null,"dialog":{"extra":null}})";
  V1Dialogue mended(odd);
  mended.driver->connected(mended.now);
  mended.say(50);
  CHECK(mended.last_body()["asr"]["audio_info"]["format"] == "pcm");
  CHECK(mended.last_body()["dialog"]["extra"]["model"] == "1.2.1.1");
}

TEST_CASE("doubao v1: the upgrade's constants") {
  VoiceProfile profile;
  profile.headers = {{"x-api-app-id", "1"}, {"X-Api-Access-Key", "2"}};
  const auto has = [](const DialTarget& target, const std::string& name, const std::string& value) {
    for (const HttpHeader& header : target.headers) {
      if (header.name == name && header.value == value) return true;
    }
    return false;
  };
  const DialTarget old_console = V1Dialogue(profile).driver->target();
  CHECK(has(old_console, "X-Api-Resource-Id", "volc.speech.dialog"));
  CHECK(has(old_console, "X-Api-App-Key", "PlgvMymc7f3tQnJ6"));
  CHECK(has(old_console, "X-Api-Connect-Id", a_voice_call().session_id));
  profile.headers = {{"X-Api-Key", "3"}, {"x-api-resource-id", "mine"}};
  const DialTarget new_console = V1Dialogue(profile).driver->target();
  CHECK(new_console.headers.size() == 3);
}

TEST_CASE("doubao v1: a turn") {
  V1Dialogue dialogue;
  dialogue.start();
  CHECK(dialogue.say(450, R"({"question_id":"q1"})") == Lines{"clear"});
  CHECK(dialogue.say(451, R"({"results":[{"text":"what","is_interim":true}]})").empty());
  CHECK(dialogue.say(451, R"({"results":[{"text":"what time","is_interim":false}]})").empty());
  CHECK(dialogue.say(451, R"({"results":[{"text":"What time?","is_interim":false}]})").empty());
  CHECK(dialogue.say(459) == Lines{"event user-speech: What time?"});
  CHECK(dialogue.say(451, R"({"results":[{"text":"What time?","is_interim":false}]})").empty());
  CHECK(dialogue.say(350, R"({"tts_type":"default","reply_id":"r1"})").empty());
  CHECK(dialogue.audio(961) == Lines{"play 480 samples at 24000"});
  CHECK(dialogue.audio(959) == Lines{"play 480 samples at 24000"});
  CHECK(dialogue.say(550, R"({"content":"Half "})").empty());
  CHECK(dialogue.say(550, R"({"content":"past."})").empty());
  CHECK(dialogue.say(351).empty());
  CHECK(dialogue.say(559) == Lines{"event ai-response: Half past."});
  CHECK(dialogue.say(359, R"({"status_code":"20000000"})") == Lines{"end of reply"});
  CHECK(dialogue.say(154).empty());
  CHECK(dialogue.counters.messages_ignored.get() == 0);
}

TEST_CASE("doubao v1: after 450 nothing is heard until the next 350") {
  V1Dialogue dialogue;
  dialogue.start();
  dialogue.say(350, R"({"reply_id":"r1"})");
  dialogue.audio(48'000);  // one second
  dialogue.sink.unheard = milliseconds(250);
  CHECK(dialogue.say(450) == Lines{"clear", "event user-interrupted 750"});
  CHECK(dialogue.audio(960).empty());
  CHECK(dialogue.say(351).empty());
  CHECK(dialogue.audio(961).empty());
  CHECK(dialogue.counters.audio_fenced.get() == 2);
  CHECK(dialogue.say(350, R"({"reply_id":"r2"})").empty());
  CHECK(dialogue.audio(960) == Lines{"play 480 samples at 24000"});
  dialogue.sink.unheard = milliseconds(20);
  CHECK(dialogue.say(450) == Lines{"clear", "event user-interrupted 0"});
}

TEST_CASE("doubao v1: replacement speech pushes out what is said") {
  for (const std::string type : {"chat_tts_text", "external_rag"}) {
    V1Dialogue dialogue;
    dialogue.start();
    dialogue.say(350, R"({"tts_type":"default","reply_id":"r1"})");
    dialogue.audio(4800);
    const std::string sentence = R"({"reply_id":"r2","tts_type":")" + type + "\"}";
    CHECK(dialogue.say(350, sentence) == Lines{"clear"});
    CHECK(dialogue.audio(960).size() == 1);
    CHECK(dialogue.say(350, sentence).empty());  // its next sentence
    CHECK(dialogue.say(350, R"({"tts_type":")" + type + "\"}").empty());
  }
}

TEST_CASE("doubao v1: errors") {
  struct Case {
    std::string description;
    int event;
    std::string payload;
    Type type;
    std::string expected;
  };
  const Case cases[] = {
      {"connection refused", 51, R"({"error":"grant not found"})", Type::full_response,
       "event call-error endpoint-refusal fatal: grant not found"},
      {"session refused", 153, R"({"error":"42000020 extra"})", Type::full_response,
       "event call-error endpoint-refusal fatal: 42000020 extra"},
      {"session failed there", 153, R"({"error":"52000035 backend"})", Type::full_response,
       "event call-error endpoint-error fatal: 52000035 backend"},
      {"in the dialogue", 599, R"({"status_code":"55000030","message":"oops"})",
       Type::full_response, "event call-error endpoint-error fatal: 55000030 oops"},
      {"a number in the dialogue", 599, R"({"status_code":45000003,"message":"silent"})",
       Type::full_response, "event call-error endpoint-refusal fatal: 45000003 silent"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    V1Dialogue dialogue;
    dialogue.start();
    CHECK(dialogue.say(c.event, c.payload, c.type) == Lines{"clear", c.expected, "close 1000"});
    CHECK(dialogue.frame().empty());
    CHECK(dialogue.close(1000) == Lines{"event ended failed"});
  }
  V1Dialogue dialogue;
  dialogue.start();
  const std::array<uint8_t, 14> frame{0x11, 0xf0, 0x10, 0, 0x02, 0xae, 0xa5,
                                      0x41, 0,    0,    0, 2,    'h',  'i'};
  CHECK(dialogue.hear(frame) ==
        Lines{"clear", "event call-error endpoint-refusal fatal: 45000001 hi", "close 1000"});
}

TEST_CASE("doubao v1: silence where an answer is due") {
  V1Dialogue dialogue;
  dialogue.driver->connected(dialogue.now);
  dialogue.sink.take();
  CHECK(dialogue.tick_after(milliseconds(4900)).empty());
  CHECK(dialogue.tick_after(milliseconds(100)) ==
        Lines{"clear", "event call-error reply-timeout fatal: no ConnectionStarted in time",
              "close 1000"});
  V1Dialogue turn;
  turn.start();
  CHECK(turn.tick_after(milliseconds(60'000)).empty());
  turn.say(459);
  CHECK(turn.tick_after(milliseconds(29'000)).empty());
  turn.say(450);
  CHECK(turn.tick_after(milliseconds(60'000)).empty());
  turn.say(459);
  CHECK(turn.tick_after(milliseconds(30'000)).size() == 3);
}

TEST_CASE("doubao v1: the way out") {
  V1Dialogue dialogue;
  dialogue.start();
  dialogue.driver->stop(dialogue.now);
  CHECK(dialogue.last_sent().event == Event::finish_session);
  CHECK(dialogue.frame().size() == 1);  // the FinishSession; no audio any more
  CHECK(dialogue.say(152) == Lines{"binary 14 bytes"});
  CHECK(dialogue.last_sent().event == Event::finish_connection);
  CHECK(dialogue.say(52) == Lines{"close 1000"});
  CHECK(dialogue.close(1000) == Lines{"event ended stopped"});

  V1Dialogue silent;
  silent.start();
  silent.driver->stop(silent.now);
  silent.sink.take();
  CHECK(silent.tick_after(milliseconds(900)).empty());
  CHECK(silent.tick_after(milliseconds(100)) == Lines{"close 1000"});

  V1Dialogue goodbye;
  goodbye.start();
  CHECK(goodbye.say(359, R"({"status_code":"20000002"})") ==
        Lines{"end of reply", "binary 54 bytes"});
  goodbye.say(152);
  goodbye.say(52);
  CHECK(goodbye.close(1000) == Lines{"event ended finished"});

  V1Dialogue lost;
  lost.start();
  CHECK(lost.close(1000).back() == "event ended failed");
}

TEST_CASE("doubao v1: nonsense is counted and changes nothing") {
  V1Dialogue dialogue;
  dialogue.start();
  CHECK(dialogue.hear("text").empty());
  CHECK(dialogue.hear(Octets{}).empty());
  CHECK(dialogue.say(451, "not json").empty());
  CHECK(dialogue.say(451, R"({"results":7})").empty());
  CHECK(dialogue.say(150).empty());
  CHECK(dialogue.counters.messages_ignored.get() == 5);
  CHECK(dialogue.say(451, R"({"results":[7,[],{"text":3}]})").empty());
  CHECK(dialogue.frame().size() == 1);
}

TEST_CASE("doubao v3: a dialogue") {
  VoiceProfile profile;
  profile.greeting = "Hello ${caller}";
  profile.session_template =
      R"({"type":"x","session":{"instructions":"be ${callee}","audio":{"output":{"voice":"v"}}}})";
  V3Dialogue dialogue(profile);
  dialogue.driver->connected(dialogue.now);
  CHECK(json::parse(dialogue.sink.sent.back()) ==
        json{{"type", "session.create"},
             {"session",
              {{"model", "1.2.6.1"},
               {"instructions", "be 600"},
               {"audio",
                {{"input", {{"format", {{"type", "pcm"}, {"rate", 16000}}}}},
                 {"output",
                  {{"voice", "v"}, {"format", {{"type", "pcm_s16le"}, {"rate", 24000}}}}}}}}}});
  dialogue.sink.take();
  CHECK(dialogue.frame().empty());
  CHECK(dialogue.hear(R"({"type":"session.created"})") ==
        Lines{"event started",
              R"(text {"text":"Hello +15550100","type":"speech_text_buffer.commit"})"});
  const Lines up = dialogue.frame();
  REQUIRE(up.size() == 1);
  CHECK(up[0].starts_with(R"(text-audio {"type":"input_audio_buffer.append","audio":"AAAA)"));
  CHECK(dialogue.hear(R"({"type":"response.output_audio.started","tts_type":"default"})").empty());
  CHECK(dialogue.hear(R"({"type":"response.output_audio.delta","delta":"AAAAAAAA"})") ==
        Lines{"play 3 samples at 24000"});
  CHECK(dialogue.hear(R"({"type":"response.output_text.done","text":"Hi"})") ==
        Lines{"event ai-response: Hi"});
  CHECK(dialogue.hear(R"({"type":"response.output_audio.done"})") == Lines{"end of reply"});
  CHECK(dialogue.hear(R"({"type":"response.done","usage":{}})").empty());
}

TEST_CASE("doubao v3: an interruption is fenced until the next output_audio.started") {
  V3Dialogue dialogue;
  dialogue.start();
  const char* const kDelta = R"({"type":"response.output_audio.delta","delta":"AAAAAAAA"})";
  const char* const kStarted = R"({"type":"conversation.item.input_audio_transcription.started"})";
  dialogue.hear(kDelta);
  CHECK(dialogue.hear(kStarted) == Lines{"clear"});
  CHECK(dialogue.hear(kDelta).empty());
  CHECK(dialogue.hear(R"({"type":"response.output_audio.done"})") == Lines{"end of reply"});
  CHECK(dialogue.hear(kDelta).empty());
  CHECK(dialogue.counters.audio_fenced.get() == 2);
  CHECK(dialogue.hear(R"({"type":"conversation.item.input_audio_transcription.completed",)"
                      R"("transcript":"stop"})") == Lines{"event user-speech: stop"});
  dialogue.hear(R"({"type":"response.output_audio.started"})");
  CHECK(dialogue.hear(kDelta).size() == 1);
  dialogue.driver->barge_in(dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"clear", R"(text {"type":"response.cancel"})"});
  CHECK(dialogue.hear(kDelta).empty());
}

TEST_CASE("doubao v3: errors and the way out") {
  const char* const kError =
      R"({"type":"error","error":{"type":"x","code":"52000011","message":"backend"}})";
  V3Dialogue early;
  early.driver->connected(early.now);
  early.sink.take();
  CHECK(early.hear(kError) ==
        Lines{"clear", "event call-error endpoint-error fatal: 52000011 backend", "close 1000"});
  V3Dialogue dialogue;
  dialogue.start();
  CHECK(dialogue.hear(kError) == Lines{"event call-error endpoint-error: 52000011 backend"});
  CHECK(dialogue.frame().size() == 1);
  dialogue.driver->stop(dialogue.now);
  CHECK(dialogue.sink.take() == Lines{R"(text {"type":"session.close"})"});
  CHECK(dialogue.hear(kError).empty());
  CHECK(dialogue.hear(R"({"type":"session.closed"})") == Lines{"close 1000"});
  CHECK(dialogue.close(1000) == Lines{"event ended stopped"});
}

TEST_CASE("doubao v3: what a session needs is there without a template") {
  V3Dialogue dialogue;
  dialogue.driver->connected(dialogue.now);
  const json session = json::parse(dialogue.sink.sent.back())["session"];
  CHECK(session["model"] == "1.2.6.1");
  CHECK(session["audio"]["output"]["voice"] == "zh_female_vv_jupiter_bigtts");
}

TEST_CASE("doubao v3: the caller says goodbye") {
  V3Dialogue dialogue;
  dialogue.start();
  const char* const kDone =
      R"({"type":"response.output_audio.done","status_code":"20000002","tts_type":"default"})";
  CHECK(dialogue.hear(kDone) == Lines{"end of reply", R"(text {"type":"session.close"})"});
  CHECK(dialogue.hear(R"({"type":"session.closed"})") == Lines{"close 1000"});
  CHECK(dialogue.close(1000) == Lines{"event ended finished"});
}

}  // namespace relay
