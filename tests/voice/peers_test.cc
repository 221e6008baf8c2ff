// Dialogues with endpoints of another hand, as they should go.
#include <cstdlib>

#include "tests/support/temporary_directory.h"
#include "tests/voice/link_run.h"

namespace relay {
namespace {

using Lines = std::vector<std::string>;

std::string url_of(const PeerProcess& peer, const char* scheme = "ws") {
  REQUIRE(peer.port() > 0);
  return fmt::format("{}://127.0.0.1:{}/stream", scheme, peer.port());
}

void check_echo(const std::string& url) {
  LinkRun run(profile_for(VoiceDriverKind::twilio, url));
  CHECK(run.wait_for("ended") == "ended finished");
  CHECK(run.events() == Lines{"started", "clear", "ended finished"});
  CHECK(run.audio() >= 5 * 160);
  CHECK(run.counters().frames_up.get() >= 5);
  CHECK(run.counters().messages_ignored.get() == 0);
}

// A certificate for bot.example.net that vouches for itself, and its key.
void make_certificate(const TemporaryDirectory& directory) {
  const std::string command = fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN=bot -addext subjectAltName=DNS:bot.example.net "
      "-keyout {0}key.pem -out {0}certificate.pem 2>{0}openssl.log",
      directory.file(""));
  REQUIRE(std::system(command.c_str()) == 0);
}

}  // namespace

TEST_CASE("a dialogue with Python's websockets") {
  const PeerProcess peer({kPython, kPeerScript, "echo"});
  check_echo(url_of(peer));
}

TEST_CASE("a dialogue with node's ws") {
  ::setenv("NODE_PATH", "/usr/share/nodejs", 0);
  const PeerProcess peer({"node", VOICE_PEER_DIR "/peer.js"});
  if (peer.port() == 0) {
    MESSAGE("skipped: no node with ws: ", peer.said());
    return;
  }
  check_echo(url_of(peer));
}

TEST_CASE("a dialogue over plain TCP") {
  const PeerProcess peer({kPython, kPeerScript, "audiosocket"});
  VoiceProfile profile =
      profile_for(VoiceDriverKind::audiosocket, fmt::format("tcp://127.0.0.1:{}", peer.port()));
  profile.rate_hz = 8000;
  LinkRun run(profile);
  CHECK(run.wait_for("ended") == "ended finished");
  CHECK(run.events() == Lines{"started", "ended finished"});
  CHECK(run.audio() == 10 * 320);
}

TEST_CASE("TLS: who is trusted, and with what name") {
  struct Case {
    std::string description, name;
    bool has_ca, verify, offers_certificate, server_asks;
    std::string expected;
  };
  const Case cases[] = {
      {"the right name", "bot.example.net", true, true, false, false, "started"},
      {"another name", "other.example.net", true, true, false, false, "call-error tls"},
      {"the address, which it is not for", "", true, true, false, false, "call-error tls"},
      {"nobody vouches", "bot.example.net", false, true, false, false, "call-error tls"},
      {"not verified", "other.example.net", false, false, false, false, "started"},
      {"with our certificate", "bot.example.net", true, true, true, true, "started"},
      {"without the certificate it asks for", "bot.example.net", true, true, false, true,
       "call-error"},
  };
  const TemporaryDirectory directory;
  make_certificate(directory);
  const std::string certificate = directory.file("certificate.pem");
  const std::string key = directory.file("key.pem");
  for (const Case& c : cases) {
    CAPTURE(c.description);
    std::vector<std::string> words{kPython, kPeerScript, "echo", certificate, key};
    if (c.server_asks) words.push_back(certificate);
    const PeerProcess peer(words);
    VoiceProfile profile = profile_for(VoiceDriverKind::twilio, url_of(peer, "wss"));
    profile.tls.server_name = c.name;
    profile.tls.verify = c.verify;
    if (c.has_ca) profile.tls.ca_file = certificate;
    if (c.offers_certificate) {
      profile.tls.certificate_file = certificate;
      profile.tls.key_file = key;
    }
    LinkRun run(profile);
    const std::string first = run.wait_for(c.expected);
    CAPTURE(first);
    CHECK(first.starts_with(c.expected));
    CHECK(run.wait_for("ended") == (c.expected == "started" ? "ended finished" : "ended failed"));
    // The last one may be a close without a word.
    if (c.expected != "call-error") CHECK(run.counters().reconnects.get() == 0);
  }
}

TEST_CASE("a subprotocol is asked for, and what is queued goes before the close") {
  const PeerProcess peer({kPython, kPeerScript, "hold"});
  VoiceProfile profile = profile_for(VoiceDriverKind::l16, url_of(peer));
  profile.subprotocol = "audio.jambonz.org";
  LinkRun run(profile);
  CHECK(run.wait_for("started") == "started");
  run.stop();
  CHECK(run.wait_for("ended") == "ended stopped");
}

TEST_CASE("a call's own URL is checked against the list") {
  struct Case {
    std::string description, path, allowed, expected;
  };
  const Case cases[] = {
      {"under what is allowed", "/bots/7?x=1", "/bots/", "ended finished"},
      {"exactly what is allowed", "/bots", "/bots", "ended finished"},
      {"elsewhere", "/admin", "/bots/", "ended failed"},
      {"out of it again", "/bots/../admin", "/bots/", "ended failed"},
  };
  const PeerProcess peer({kPython, kPeerScript, "echo"});
  const std::string server = fmt::format("ws://127.0.0.1:{}", peer.port());
  for (const Case& c : cases) {
    CAPTURE(c.description);
    VoiceProfile profile = profile_for(VoiceDriverKind::twilio, "ws://192.0.2.1/");
    profile.allow_urls = {server + c.allowed};
    VoiceCall call = LinkRun::call_with_id();
    call.url = server + c.path;
    LinkRun run(profile, {}, call);
    CHECK(run.wait_for("ended") == c.expected);
  }
}

TEST_CASE("limits: of sessions at once and of starts a minute") {
  const PeerProcess peer({kPython, kPeerScript, "hold"});
  const VoiceProfile profile = profile_for(VoiceDriverKind::l16, url_of(peer));
  for (const VoiceLimits& limits : {VoiceLimits{1, 60}, VoiceLimits{100, 1}}) {
    LinkRun first(profile, limits);
    CHECK(first.wait_for("started") == "started");
    std::unique_ptr<VoiceLink> second;
    first.run([&] {
      second = first.thread().open(std::make_shared<VoiceProfile>(profile), LinkRun::call_with_id(),
                                   first.listener());
      CHECK(first.thread().sessions() == 1);
    });
    CHECK(first.wait_for("call-error busy") == "call-error busy");
    CHECK(first.counters().sessions_refused.get() == 1);
    first.run([&] { first.thread().release(std::move(second)); });
  }
}

}  // namespace relay
