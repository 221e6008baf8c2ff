// Endpoints that break, or break the rules: the right error, the right number of attempts, and no
// more memory than the limits say.
#include <malloc.h>

#include <fstream>

#include "tests/voice/link_run.h"

namespace relay {
namespace {

using std::chrono::milliseconds;

VoiceProfile impatient(const std::string& url) {
  VoiceProfile profile = profile_for(VoiceDriverKind::twilio, url);
  profile.connect_timeout = milliseconds(1000);
  profile.reply_timeout = milliseconds(1500);
  profile.ping_interval = std::chrono::seconds(1);
  profile.message_bytes_max = 1 << 20;
  return profile;
}

size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

}  // namespace

TEST_CASE("faults: each is told by its name, and tried again where that may help") {
  struct Case {
    std::string description, mode, expected;
    uint64_t reconnects;
  };
  const Case cases[] = {
      {"reset when accepted", "reset", "call-error unreachable", 1},
      {"closed when accepted", "closing", "call-error unreachable", 1},
      {"accepts and says nothing", "silent", "call-error connect-timeout", 1},
      {"a head without end", "long_head", "call-error rejected", 0},
      {"an accept that does not answer", "bad_accept", "call-error rejected", 0},
      {"401", "unauthorized", "call-error rejected: answered \"HTTP/1.1 401 Unauthorized\"", 0},
      {"503", "unavailable", "call-error unavailable: answered \"HTTP/1.1 503 Service", 1},
      {"302", "redirect", "call-error rejected: answered \"HTTP/1.1 302 Found\"; redirects", 0},
      {"upgraded and silent", "mute", "call-error reply-timeout", 0},
      {"stops reading", "deaf", "call-error stalled", 0},
      {"answers no pings", "no_pong", "call-error ping-timeout", 0},
      {"cut in mid-reply", "cut_in_reply", "call-error connection-lost", 0},
      {"text that is not UTF-8", "bad_utf8", "call-error protocol", 0},
      {"masked frames", "masked", "call-error protocol", 0},
      {"a frame of 2^62 bytes", "length_bomb", "call-error too-big", 0},
      {"a message without end", "endless_message", "call-error too-big", 0},
      {"empty fragments without end", "empty_fragments", "call-error reply-timeout", 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const PeerProcess peer({kPython, kPeerScript, c.mode});
    REQUIRE(peer.port() > 0);
    VoiceProfile profile = impatient(fmt::format("ws://127.0.0.1:{}/", peer.port()));
    if (c.mode == "no_pong" || c.mode == "deaf") profile.reply_timeout = {};
    if (c.mode == "deaf") {
      profile.driver = VoiceDriverKind::l16;
      profile.rate_hz = 48000;
      profile.ping_interval = {};
    }
    const size_t before = resident_bytes();
    LinkRun run(profile);
    const std::string error = run.wait_for("call-error");
    CAPTURE(error);
    CHECK(error.starts_with(c.expected));
    CHECK(run.wait_for("ended") == "ended failed");
    CHECK(run.counters().reconnects.get() == c.reconnects);
    CHECK(run.counters().sessions_failed.get() == 1);
    if (c.mode == "deaf") CHECK(run.counters().frames_up_dropped.get() > 0);
    ::malloc_trim(0);
    CHECK(resident_bytes() < before + (32 << 20));
  }
}

TEST_CASE("faults: nobody listens, and no such name") {
  LinkRun refused(impatient("ws://127.0.0.1:1/"));
  CHECK(refused.wait_for("call-error").starts_with("call-error unreachable"));
  CHECK(refused.wait_for("ended") == "ended failed");
  CHECK(refused.counters().reconnects.get() == 1);
  // .invalid never resolves (RFC 2606); without a name server that takes its time.
  VoiceProfile nowhere = impatient("ws://bot.invalid/");
  nowhere.retries = 0;
  LinkRun lost(nowhere);
  const std::string error = lost.wait_for("call-error");
  const bool is_told = error.starts_with("call-error unreachable") ||
                       error.starts_with("call-error connect-timeout");
  CHECK(is_told);
  CHECK(lost.wait_for("ended") == "ended failed");
}

TEST_CASE("faults: what is odd and allowed is taken") {
  struct Case {
    std::string description, mode;
    size_t octets;
    uint64_t ignored;
  };
  const Case cases[] = {
      {"30 seconds in one message", "long_reply", 240'000, 0},
      {"a frame a byte", "byte_fragments", 3, 0},
      {"binary, bad JSON, unknown events", "nonsense", 3, 3},
      {"twenty minutes as fast as they come", "endless", 1200 * 8000, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const PeerProcess peer({kPython, kPeerScript, c.mode});
    REQUIRE(peer.port() > 0);
    LinkRun run(impatient(fmt::format("ws://127.0.0.1:{}/", peer.port())));
    CHECK(run.wait_for_audio(c.octets));
    CHECK(run.audio() == c.octets);
    CHECK(run.counters().messages_ignored.get() == c.ignored);
    run.stop();
    CHECK(run.wait_for("ended").starts_with("ended "));
  }
}

TEST_CASE("stopping: at any moment, once") {
  const PeerProcess peer({kPython, kPeerScript, "silent"});
  REQUIRE(peer.port() > 0);
  VoiceProfile profile = impatient(fmt::format("ws://127.0.0.1:{}/", peer.port()));
  LinkRun connecting(profile);
  connecting.stop();
  CHECK(connecting.wait_for("ended") == "ended stopped");
  connecting.stop();

  VoiceProfile refused = impatient("ws://127.0.0.1:1/");
  refused.retries = 100;
  LinkRun between(refused);
  while (between.counters().reconnects.get() == 0) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  between.stop();
  CHECK(between.wait_for("ended") == "ended stopped");
  CHECK(between.events().back() == "ended stopped");

  // Gone without leave, in the middle of everything.
  LinkRun dropped(profile);
}

}  // namespace relay
