// Dialogues with endpoints that check every field of what they are sent (strict.py).
#include <fmt/ranges.h>

#include "tests/voice/link_run.h"

namespace relay {
namespace {

using Lines = std::vector<std::string>;
using std::chrono::milliseconds;

PeerProcess strict(const std::string& mode) {
  return PeerProcess({kPython, VOICE_PEER_DIR "/strict.py", mode});
}

VoiceProfile profile_at(const PeerProcess& peer, VoiceDriverKind driver, VoiceDialect dialect,
                        const std::string& path) {
  REQUIRE(peer.port() > 0);
  VoiceProfile profile = profile_for(driver, fmt::format("ws://127.0.0.1:{}{}", peer.port(), path));
  profile.dialect = dialect;
  profile.greeting = "您好 ${caller}";
  return profile;
}

VoiceProfile doubao_v1_at(const PeerProcess& peer) {
  VoiceProfile profile =
      profile_at(peer, VoiceDriverKind::doubao, VoiceDialect::v1, "/api/v3/realtime/dialogue");
  profile.headers = {{"X-Api-Key", "secret"}};
  profile.session_template = R"({"dialog":{"bot_name":"豆包",
    "system_role":"The caller is ${caller}."}})";
  return profile;
}

std::string joined(const Lines& lines) {
  return fmt::format("{}", fmt::join(lines, " | "));
}

// What the peer says of the dialogue, once the link is over.
void check_verdict(PeerProcess& peer, const char* expected = "good: dialogues=1\n") {
  const std::string verdict = peer.finish();
  CHECK(verdict == expected);
}

}  // namespace

TEST_CASE("strict: Doubao v1") {
  PeerProcess peer = strict("doubao_v1");
  LinkRun run(doubao_v1_at(peer));
  CHECK(run.wait_for_events(6));
  run.stop();
  CHECK(run.wait_for("ended") == "ended stopped");
  CHECK(joined(run.events()) == joined({"started", "end of reply", "clear", "user-speech: 转人工。",
                                        "ai-response: 好的", "end of reply", "ended stopped"}));
  CHECK(run.audio() == 1920 + 1920);
  CHECK(run.counters().audio_fenced.get() == 1);
  CHECK(run.counters().messages_ignored.get() == 0);
  check_verdict(peer);
}

TEST_CASE("strict: Doubao v1, which errors are tried again") {
  PeerProcess refusing = strict("doubao_v1_refuses");
  LinkRun refused(doubao_v1_at(refusing));
  CHECK(refused.wait_for("ended") == "ended failed");
  CHECK(refused.wait_for("call-error").starts_with("call-error endpoint-refusal: 42000020 "));
  CHECK(refused.counters().reconnects.get() == 0);
  check_verdict(refusing);

  PeerProcess recovering = strict("doubao_v1_recovers");
  LinkRun recovered(doubao_v1_at(recovering));
  CHECK(recovered.wait_for("started") == "started");
  CHECK(recovered.wait_for("ended") == "ended failed");
  CHECK(recovered.wait_for("call-error") ==
        "call-error endpoint-refusal: 45000003 silent for too long");
  CHECK(recovered.counters().reconnects.get() == 1);
  check_verdict(recovering, "good: dialogues=2\n");
}

TEST_CASE("strict: Doubao v3") {
  PeerProcess peer = strict("doubao_v3");
  VoiceProfile profile = profile_at(peer, VoiceDriverKind::doubao, VoiceDialect::v3,
                                    "/api/v3/duplex/realtime/dialogue");
  profile.headers = {{"X-Api-Key", "secret"}};
  profile.session_template = R"({"session":{"instructions":"The caller is ${caller}."}})";
  LinkRun run(profile);
  // The caller says goodbye and the endpoint tells so.
  CHECK(run.wait_for("ended") == "ended finished");
  CHECK(joined(run.events()) == joined({"started", "clear", "user-speech: 再见",
                                        "ai-response: 再见!", "end of reply", "ended finished"}));
  CHECK(run.audio() == 1920 + 1920);
  CHECK(run.counters().audio_fenced.get() == 1);
  check_verdict(peer);
}

TEST_CASE("strict: OpenAI's Realtime API in each dialect") {
  struct Case {
    std::string mode, path, header, name;
    VoiceDialect dialect;
    AudioFormat::Encoding leg;
    size_t audio;  // octets of 8-bit audio, or bytes of samples
  };
  using Encoding = AudioFormat::Encoding;
  const Case cases[] = {
      {"openai", "/v1/realtime?model=gpt-realtime", "Authorization", "Bearer secret",
       VoiceDialect::openai, Encoding::pcmu, 8000 + 961 + 959},
      {"openai_wide", "/v1/realtime?model=gpt-realtime", "Authorization", "Bearer secret",
       VoiceDialect::openai, Encoding::s16, 8000 + 1920},
      {"azure", "/openai/v1/realtime?model=my-deployment", "api-key", "secret", VoiceDialect::azure,
       Encoding::pcma, 8000 + 961 + 959},
      {"openai_beta", "/v1/realtime?model=gpt-4o", "Authorization", "Bearer secret",
       VoiceDialect::openai_beta, Encoding::pcmu, 8000 + 961 + 959},
      {"qwen", "/api-ws/v1/realtime?model=qwen3-omni-flash-realtime", "Authorization",
       "Bearer secret", VoiceDialect::qwen, Encoding::pcmu, 8000 + 1920},
      {"stepfun", "/v1/realtime?model=step-audio-2", "Authorization", "Bearer secret",
       VoiceDialect::stepfun, Encoding::pcma, 8000 + 1920},
  };
  for (const Case& c : cases) {
    CAPTURE(c.mode);
    PeerProcess peer = strict(c.mode);
    VoiceProfile profile = profile_at(peer, VoiceDriverKind::openai, c.dialect, c.path);
    profile.headers = {{c.header, c.name}};
    profile.greeting = "Greet ${caller}.";
    const char* const turns = R"("turn_detection":{"type":"server_vad","silence_duration_ms":500})";
    const bool is_ga = c.dialect == VoiceDialect::openai || c.dialect == VoiceDialect::azure;
    const std::string instructions = R"({"session":{"instructions":"The caller is ${caller}.",)";
    profile.session_template =
        instructions +
        (is_ga ? std::string(R"("audio":{"input":{)") + turns + R"(},"output":{"voice":"marin"}}}})"
               : std::string(turns) + "}}");
    VoiceCall call = LinkRun::call_with_id();
    call.leg_encoding = c.leg;
    LinkRun run(profile, {}, call);
    run.unheard_at_clear(milliseconds(100));
    CHECK(run.wait_for("end of reply") == "end of reply");
    run.stop();
    CHECK(run.wait_for("ended") == "ended stopped");
    CHECK(joined(run.events()) ==
          joined({"started", "clear", "user-interrupted", "user-speech: hello",
                  "ai-response: hi there", "end of reply", "ended stopped"}));
    CHECK(run.audio() == c.audio);
    CHECK(run.counters().audio_fenced.get() == 1);
    check_verdict(peer);
  }
}

TEST_CASE("strict: AudioSocket") {
  PeerProcess peer = strict("audiosocket");
  REQUIRE(peer.port() > 0);
  VoiceProfile profile =
      profile_for(VoiceDriverKind::audiosocket, fmt::format("tcp://127.0.0.1:{}", peer.port()));
  profile.rate_hz = 8000;
  LinkRun run(profile);
  CHECK(run.wait_for_audio(320 + 640));
  run.press('5');
  run.stop();
  CHECK(run.wait_for("ended") == "ended stopped");
  CHECK(run.audio() == 320 + 640);
  check_verdict(peer);
}

}  // namespace relay
