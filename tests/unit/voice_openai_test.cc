// The openai driver: both shapes of the session, interruptions, and what is told of them.
#include <nlohmann/json.hpp>

#include "tests/unit/voice_fixture.h"

namespace relay {
namespace {

using nlohmann::json;
using Encoding = AudioFormat::Encoding;

VoiceProfile profile_of(VoiceDialect dialect) {
  VoiceProfile profile;
  profile.driver = VoiceDriverKind::openai;
  profile.dialect = dialect;
  return profile;
}

struct OpenaiDialogue : VoiceDialogue {
  explicit OpenaiDialogue(VoiceProfile profile = profile_of(VoiceDialect::openai),
                          Encoding leg = Encoding::pcmu)
      : VoiceDialogue(make_openai_driver, std::move(profile), call_of(leg)) {}
  static VoiceCall call_of(Encoding leg) {
    VoiceCall call = a_voice_call();
    call.leg_encoding = leg;
    return call;
  }
  json create() {
    driver->connected(now);
    hear(R"({"type":"session.created"})");
    return json::parse(sink.sent.back());
  }
  void start() {
    create();
    hear(R"({"type":"session.updated"})");
  }
  Lines respond(const std::string& id) {
    return hear(R"({"type":"response.created","response":{"id":")" + id + R"("}})");
  }
  // 6 octets of audio.
  Lines delta(const std::string& response, const std::string& item) {
    return hear(R"({"type":"response.output_audio.delta","response_id":")" + response +
                R"(","item_id":")" + item + R"(","delta":"AAAAAAAA"})");
  }
  Lines speech_started() { return hear(R"({"type":"input_audio_buffer.speech_started"})"); }
};

}  // namespace

TEST_CASE("openai: session.update in each dialect") {
  struct Case {
    std::string description;
    VoiceDialect dialect;
    Encoding leg;
    json session;
    AudioFormat up, down;
  };
  const AudioFormat ulaw{Encoding::pcmu, 8000, 1}, alaw{Encoding::pcma, 8000, 1};
  const AudioFormat at_16k{Encoding::s16, 16000, 1}, at_24k{Encoding::s16, 24000, 1};
  const auto ga = [](const json& format) {
    return json{{"type", "realtime"},
                {"output_modalities", {"audio"}},
                {"audio", {{"input", {{"format", format}}}, {"output", {{"format", format}}}}}};
  };
  const auto beta = [](const char* in, const char* out) {
    return json{{"modalities", {"text", "audio"}},
                {"input_audio_format", in},
                {"output_audio_format", out}};
  };
  json step = beta("pcm16", "pcm16");
  step["turn_detection"] = {{"type", "server_vad"}};
  const Case cases[] = {
      {"u-law goes through", VoiceDialect::openai, Encoding::pcmu, ga({{"type", "audio/pcmu"}}),
       ulaw, ulaw},
      {"A-law goes through", VoiceDialect::openai, Encoding::pcma, ga({{"type", "audio/pcma"}}),
       alaw, alaw},
      {"a wideband leg", VoiceDialect::azure, Encoding::s16,
       ga({{"type", "audio/pcm"}, {"rate", 24000}}), at_24k, at_24k},
      {"beta", VoiceDialect::openai_beta, Encoding::pcma, beta("g711_alaw", "g711_alaw"), alaw,
       alaw},
      {"Qwen", VoiceDialect::qwen, Encoding::pcmu, beta("pcm16", "pcm24"), at_16k, at_24k},
      {"StepFun", VoiceDialect::stepfun, Encoding::pcmu, step, at_24k, at_24k},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    OpenaiDialogue dialogue(profile_of(c.dialect), c.leg);
    CHECK(dialogue.create() == json{{"type", "session.update"}, {"session", c.session}});
    CHECK(dialogue.driver->up_format() == c.up);
    CHECK(dialogue.driver->down_format() == c.down);
  }
}

TEST_CASE("openai: the template stays, its formats do not") {
  VoiceProfile profile = profile_of(VoiceDialect::openai);
  profile.audio = VoiceAudio::s16;
  profile.session_template = R"({"type":"nonsense","session":{"instructions":"Call ${call_id}",
    "audio":{"input":{"format":{"type":"audio/pcmu"},"turn_detection":null},
             "output":{"voice":"marin"}}}})";
  OpenaiDialogue dialogue(profile);
  const json session = dialogue.create()["session"];
  CHECK(session["instructions"] == "Call call-1@192.0.2.1");
  CHECK(session["audio"]["input"]["format"] == json{{"type", "audio/pcm"}, {"rate", 24000}});
  CHECK(session["audio"]["input"]["turn_detection"].is_null());
  CHECK(session["audio"]["output"]["voice"] == "marin");
}

TEST_CASE("openai: what a relative's template says stays") {
  VoiceProfile qwen = profile_of(VoiceDialect::qwen);
  qwen.session_template =
      R"({"session":{"input_audio_format":"pcm","output_audio_format":"pcm","voice":"Cherry"}})";
  const json named = OpenaiDialogue(qwen).create()["session"];
  CHECK(named["input_audio_format"] == "pcm");
  CHECK(named["output_audio_format"] == "pcm");
  VoiceProfile step = profile_of(VoiceDialect::stepfun);
  step.session_template = R"({"session":{"turn_detection":null,"input_audio_format":"pcm"}})";
  const json manual = OpenaiDialogue(step).create()["session"];
  CHECK(manual["turn_detection"].is_null());
  CHECK(manual["input_audio_format"] == "pcm16");
}

TEST_CASE("openai: audio of before session.updated is held, a second of it") {
  OpenaiDialogue dialogue;
  dialogue.driver->connected(dialogue.now);
  for (int i = 0; i < 60; ++i) CHECK(dialogue.frame().empty());
  dialogue.hear(R"({"type":"session.created"})");
  CHECK(dialogue.frame().empty());
  CHECK(dialogue.counters.frames_up_unsent.get() == 11);
  const Lines done = dialogue.hear(R"({"type":"session.updated"})");
  REQUIRE(done.size() == 51);
  CHECK(done[0] == "event started");
  CHECK(done[50].starts_with(R"(text-audio {"type":"input_audio_buffer.append","audio":"AAAA)"));
  CHECK(dialogue.frame().size() == 1);

  OpenaiDialogue wide(profile_of(VoiceDialect::openai), Encoding::s16);
  wide.driver->connected(wide.now);
  wide.frame();
  wide.hear(R"({"type":"session.created"})");
  const Lines held = wide.hear(R"({"type":"session.updated"})");
  REQUIRE(held.size() == 2);
  const json append = json::parse(wide.sink.sent.back());
  CHECK(append["audio"].get<std::string>().size() == 1280);  // 960 octets
}

TEST_CASE("openai: limits of the way in") {
  OpenaiDialogue silent;
  silent.driver->connected(silent.now);
  CHECK(silent.tick_after(milliseconds(4999)).empty());
  CHECK(silent.tick_after(milliseconds(1)).size() == 3);
  OpenaiDialogue half;
  half.create();
  CHECK(half.tick_after(milliseconds(1999)).empty());
  CHECK(half.tick_after(milliseconds(1)) ==
        Lines{"clear", "event call-error reply-timeout fatal: no session.updated in time",
              "close 1000"});
  OpenaiDialogue refused;
  refused.create();
  CHECK(refused.hear(R"({"type":"error","error":{"type":"invalid_request_error","code":"c",)"
                     R"("message":"bad voice"}})") ==
        Lines{"clear", "event call-error endpoint-refusal fatal: c bad voice", "close 1000"});
}

TEST_CASE("openai: a turn, with the names of both") {
  for (const std::string prefix : {"response.output_audio", "response.audio"}) {
    CAPTURE(prefix);
    OpenaiDialogue dialogue;
    dialogue.start();
    CHECK(dialogue.hear(R"({"type":"input_audio_buffer.speech_stopped"})").empty());
    CHECK(dialogue.hear(R"({"type":"conversation.item.input_audio_transcription.completed",)"
                        R"("transcript":"Hello?"})") == Lines{"event user-speech: Hello?"});
    dialogue.respond("r1");
    CHECK(dialogue.hear(R"({"type":")" + prefix +
                        R"(.delta","response_id":"r1","item_id":"i1","delta":"AAAAAAAA"})") ==
          Lines{"play 6 octets of pcmu"});
    CHECK(dialogue.hear(R"({"type":")" + prefix + R"(.done"})") == Lines{"end of reply"});
    CHECK(dialogue.hear(R"({"type":")" + prefix + R"(_transcript.done","transcript":"Hi!"})") ==
          Lines{"event ai-response: Hi!"});
    CHECK(dialogue.hear(R"({"type":"response.done","response":{"status":"completed"}})").empty());
    CHECK(dialogue.hear(R"({"type":"rate_limits.updated"})").empty());
  }
}

TEST_CASE("openai: an interruption truncates what was not heard") {
  OpenaiDialogue dialogue;
  dialogue.start();
  dialogue.respond("r1");
  std::string second;  // 8001 octets
  for (int i = 0; i < 2667; ++i) second += "AAAA";
  dialogue.hear(R"({"type":"response.output_audio.delta","response_id":"r1","item_id":"i1",)"
                R"("delta":")" +
                second + "\"}");
  dialogue.sink.unheard = milliseconds(300);
  CHECK(dialogue.speech_started() ==
        Lines{"clear", "event user-interrupted 700",
              R"(text {"audio_end_ms":700,"content_index":0,"item_id":"i1",)"
              R"("type":"conversation.item.truncate"})"});
  CHECK(dialogue.delta("r1", "i1").empty());
  CHECK(dialogue.counters.audio_fenced.get() == 1);
  dialogue.respond("r2");
  CHECK(dialogue.delta("r1", "i1").empty());
  CHECK(dialogue.delta("r2", "i2").size() == 1);
}

TEST_CASE("openai: who cancels") {
  struct Case {
    std::string description;
    VoiceDialect dialect;
    std::string session_template;
    bool cancels;
  };
  const Case cases[] = {
      {"the server, by default", VoiceDialect::openai, "", false},
      {"the server, if it says so", VoiceDialect::openai,
       R"({"session":{"audio":{"input":{"turn_detection":{"interrupt_response":true}}}}})", false},
      {"we, if it is switched off", VoiceDialect::openai,
       R"({"session":{"audio":{"input":{"turn_detection":{"interrupt_response":false}}}}})", true},
      {"we, without detection", VoiceDialect::openai_beta, R"({"session":{"turn_detection":null}})",
       true},
      {"we, with Qwen", VoiceDialect::qwen, "", true},
      {"we, with StepFun", VoiceDialect::stepfun, "", true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    VoiceProfile profile = profile_of(c.dialect);
    profile.session_template = c.session_template;
    OpenaiDialogue dialogue(profile);
    dialogue.start();
    dialogue.respond("r1");
    dialogue.delta("r1", "i1");
    const Lines cancelling{"clear", R"(text {"type":"response.cancel"})"};
    CHECK(dialogue.speech_started() == (c.cancels ? cancelling : Lines{"clear"}));
    // Nothing is active any more.
    CHECK(dialogue.speech_started() == Lines{"clear"});
  }
  OpenaiDialogue own;
  own.start();
  own.respond("r1");
  own.driver->barge_in(own.now);
  CHECK(own.sink.take() == Lines{"clear", R"(text {"type":"response.cancel"})"});
}

TEST_CASE("openai: a service that names no responses is fenced until the next one") {
  OpenaiDialogue dialogue(profile_of(VoiceDialect::qwen));
  dialogue.start();
  const char* const kDelta = R"({"type":"response.audio.delta","delta":"AAAAAAAA"})";
  CHECK(dialogue.hear(kDelta).size() == 1);
  dialogue.speech_started();
  CHECK(dialogue.hear(kDelta).empty());
  dialogue.hear(R"({"type":"response.created"})");
  CHECK(dialogue.hear(kDelta).size() == 1);
}

TEST_CASE("openai: errors in the dialogue") {
  OpenaiDialogue dialogue;
  dialogue.start();
  CHECK(dialogue.hear(R"({"type":"error","error":{"code":"response_cancel_not_active"}})").empty());
  CHECK(dialogue.hear(R"({"type":"error","error":{"message":"there is no active response"}})")
            .empty());
  CHECK(dialogue.hear(R"({"type":"error","error":{"type":"server_error","message":"m"}})") ==
        Lines{"event call-error endpoint-error: m"});
  CHECK(dialogue.hear(R"({"type":"response.done","response":{"status":"failed",)"
                      R"("status_details":{"error":{"code":"rate_limit","message":"slow"}}}})") ==
        Lines{"event call-error endpoint-error: rate_limit slow"});
  CHECK(dialogue.frame().size() == 1);
  CHECK(dialogue.hear("nonsense").empty());
  CHECK(dialogue.hear(R"({"type":"response.output_audio.delta","delta":7})").empty());
  CHECK(dialogue.counters.messages_ignored.get() == 4);
  CHECK(dialogue.close(1000).back() == "event ended failed");
}

TEST_CASE("openai: stop, and a greeting") {
  VoiceProfile profile = profile_of(VoiceDialect::openai_beta);
  profile.greeting = "Greet ${caller}.";
  OpenaiDialogue dialogue(profile);
  CHECK(dialogue.driver->target().headers.back().name == "OpenAI-Beta");
  dialogue.create();
  CHECK(dialogue.hear(R"({"type":"session.updated"})") ==
        Lines{"event started",
              R"(text {"response":{"instructions":"Greet +15550100."},"type":"response.create"})"});
  dialogue.driver->stop(dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"close 1000"});
  CHECK(dialogue.close(1006) == Lines{"event ended stopped"});
}

}  // namespace relay
