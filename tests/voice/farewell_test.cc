// An endpoint that says its last words and closes: they are heard before the session ends.
#include "tests/voice/session_run.h"

namespace relay {
namespace {

using std::chrono::milliseconds;

constexpr size_t kLastFrames = 20;  // 400 ms

VoiceProfile profile_of(const PeerProcess& peer) {
  REQUIRE(peer.port() > 0);
  return profile_for(VoiceDriverKind::twilio, fmt::format("ws://127.0.0.1:{}/", peer.port()));
}

}  // namespace

TEST_CASE("a farewell is heard to its end") {
  const PeerProcess peer({kPython, kPeerScript, "goodbye"});
  SessionRun leaving(profile_of(peer));
  leaving.take(1000, milliseconds(5));
  CHECK(leaving.has_ended());
  CHECK(leaving.outcome() == VoiceOutcome::finished);
  CHECK(leaving.frames_when_ended() == kLastFrames);
}

TEST_CASE("a farewell that nobody takes, or that is cut, does not hold the session") {
  const PeerProcess peer({kPython, kPeerScript, "goodbye"});
  SessionRun deaf(profile_of(peer));
  deaf.take(1, milliseconds(5));
  deaf.wait_for_end();
  CHECK(deaf.has_ended());

  SessionRun cut(profile_of(peer));
  cut.take(2, milliseconds(5));
  cut.stop();
  cut.wait_for_end();
  CHECK(cut.has_ended());
}

}  // namespace relay
