// The twilio driver against the server that OpenAI ships for Twilio (agents/server.mjs).
#include "tests/voice/session_run.h"

namespace relay {

TEST_CASE("OpenAI's own server for Twilio: audio, marks, an interruption, the end") {
  constexpr uint8_t kFirst = 0x2A, kSecond = 0x35;
  PeerProcess peer({VOICE_PEER_DIR "/agents/serve", VOICE_AGENTS_DIR});
  if (peer.port() == 0) {
    MESSAGE(peer.said());
    return;
  }
  VoiceProfile profile =
      profile_for(VoiceDriverKind::twilio, fmt::format("ws://127.0.0.1:{}/", peer.port()));
  profile.signature_secret = "secret";
  profile.reply_timeout = std::chrono::seconds(20);
  SessionRun run(profile);
  run.take(1000, std::chrono::milliseconds(20));
  CHECK(run.has_ended());
  CHECK(run.outcome() == VoiceOutcome::finished);
  CHECK(run.interruptions() == 1);
  // 400 ms of the first reply were heard before it was cut, and not all of its three seconds.
  CHECK(run.spoken(kFirst) >= 20);
  CHECK(run.spoken(kFirst) < 150);
  CHECK(run.spoken(kSecond) == 20);
  const std::string verdict = peer.finish();
  CAPTURE(verdict);
  CHECK(verdict.starts_with("good: "));
}

}  // namespace relay
