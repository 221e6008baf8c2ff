// The twilio driver: each message to the letter, and what it makes of the endpoint's.
#include <doctest/doctest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "tests/unit/voice_fixture.h"

namespace relay {
namespace {

struct TwilioDialogue : VoiceDialogue {
  explicit TwilioDialogue(VoiceProfile chosen = {}, const VoiceCall& of = a_voice_call())
      : VoiceDialogue(make_twilio_driver, std::move(chosen), of) {}
  void connect() {
    driver->connected(now);
    stream_sid = nlohmann::json::parse(sink.sent.at(1)).at("streamSid").get<std::string>();
    sink.take();
  }
  Lines hear(std::string message) {
    if (const size_t at = message.find("SID"); at != std::string::npos) {
      message.replace(at, 3, stream_sid);
    }
    return VoiceDialogue::hear(message);
  }

  std::string stream_sid;
};

}  // namespace

TEST_CASE("twilio: connected and start come first, numbers and strings as Twilio has them") {
  VoiceProfile profile;
  profile.account_sid = "AC0123";
  profile.parameters = {{"language", "en"}, {"who", "<${caller}>"}};
  TwilioDialogue dialogue(profile);
  dialogue.driver->connected(dialogue.now);
  REQUIRE(dialogue.sink.sent.size() == 2);
  CHECK(dialogue.sink.sent[0] == R"({"event":"connected","protocol":"Call","version":"1.0.0"})");
  const auto start = nlohmann::json::parse(dialogue.sink.sent[1]);
  CHECK(start["event"] == "start");
  CHECK(start["sequenceNumber"] == "1");
  CHECK(start["start"]["tracks"] == nlohmann::json::array({"inbound"}));
  CHECK(start["start"]["mediaFormat"] ==
        nlohmann::json{{"encoding", "audio/x-mulaw"}, {"sampleRate", 8000}, {"channels", 1}});
  CHECK(start["start"]["accountSid"] == "AC0123");
  CHECK(start["streamSid"] == start["start"]["streamSid"]);
  CHECK(start["streamSid"].get<std::string>().size() == 34);
  CHECK(start["streamSid"].get<std::string>().starts_with("MZ"));
  CHECK(start["start"]["callSid"].get<std::string>().starts_with("CA"));
  CHECK(start["start"]["customParameters"] == nlohmann::json{{"from_number", "+15550100"},
                                                             {"to_number", "600"},
                                                             {"call_id", "call-1@192.0.2.1"},
                                                             {"language", "en"},
                                                             {"who", "<+15550100>"}});
  CHECK(dialogue.sink.take().back() == "event started");
}

TEST_CASE("twilio: frames, digits and stop") {
  TwilioDialogue dialogue;
  dialogue.connect();
  const std::array<uint8_t, 160> silence = [] {
    std::array<uint8_t, 160> octets{};
    octets.fill(0xFF);
    return octets;
  }();
  std::string base64;
  for (int i = 0; i < 53; ++i) base64 += "////";
  base64 += "/w==";
  for (int i = 0; i < 3; ++i) {
    dialogue.driver->frame_g711(silence, dialogue.now);
    const std::string sequence = std::to_string(2 + i);
    CHECK(dialogue.sink.take() ==
          Lines{R"(text-audio {"event":"media","sequenceNumber":")" + sequence +
                R"(","streamSid":")" + dialogue.stream_sid +
                R"(","media":{"track":"inbound","chunk":")" + std::to_string(i + 1) +
                R"(","timestamp":")" + std::to_string(20 * i) + R"(","payload":")" + base64 +
                R"("}})"});
  }
  dialogue.driver->dtmf('#', milliseconds(120), dialogue.now);
  CHECK(dialogue.sink.take() ==
        Lines{R"(text {"event":"dtmf","sequenceNumber":"5","streamSid":")" + dialogue.stream_sid +
              R"(","dtmf":{"track":"inbound_track","digit":"#"}})"});
  dialogue.driver->stop(dialogue.now);
  const Lines last = dialogue.sink.take();
  REQUIRE(last.size() == 2);
  CHECK(last[0].find(R"("event":"stop","sequenceNumber":"6")") != std::string::npos);
  CHECK(last[1] == "close 1000");
  dialogue.driver->closed({1000, ""}, dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"event ended stopped"});
}

TEST_CASE("twilio: both parties are two tracks of one chunk") {
  VoiceCall call = a_voice_call();
  call.stereo = true;
  TwilioDialogue dialogue({}, call);
  dialogue.connect();
  std::array<uint8_t, 320> frame{};
  for (size_t i = 0; i < frame.size(); ++i) frame[i] = i % 2 == 0 ? 0x11 : 0x22;
  dialogue.driver->frame_g711(frame, dialogue.now);
  REQUIRE(dialogue.sink.sent.size() == 4);
  const auto inbound = nlohmann::json::parse(dialogue.sink.sent[2]);
  const auto outbound = nlohmann::json::parse(dialogue.sink.sent[3]);
  CHECK(inbound["media"]["track"] == "inbound");
  CHECK(inbound["media"]["payload"].get<std::string>().starts_with("ERER"));
  CHECK(outbound["media"]["track"] == "outbound");
  CHECK(outbound["media"]["payload"].get<std::string>().starts_with("IiIi"));
  CHECK(outbound["media"]["chunk"] == "1");
  CHECK(outbound["sequenceNumber"] == "3");
}

TEST_CASE("twilio: what the endpoint says") {
  struct Case {
    std::string description, message;
    Lines done;
    uint64_t ignored;
  };
  const Case cases[] = {
      {"audio",
       R"({"event":"media","streamSid":"SID","media":{"payload":"AAECAw=="}})",
       {"play 4 octets of pcmu"},
       0},
      {"a mark", R"({"event":"mark","streamSid":"SID","mark":{"name":"a"}})", {"mark 1"}, 0},
      {"clear with nothing queued", R"({"event":"clear","streamSid":"SID"})", {"clear"}, 0},
      {"no JSON", "{", {}, 1},
      {"not an object", "[1]", {}, 1},
      {"an unknown event", R"({"event":"hello","streamSid":"SID"})", {}, 1},
      {"an event that is a number", R"({"event":7,"streamSid":"SID"})", {}, 1},
      {"no payload", R"({"event":"media","streamSid":"SID","media":{}})", {}, 1},
      {"media that is no object", R"({"event":"media","streamSid":"SID","media":[]})", {}, 1},
      {"bad base64", R"({"event":"media","streamSid":"SID","media":{"payload":"A*=="}})", {}, 1},
      {"a mark without name", R"({"event":"mark","streamSid":"SID","mark":{}})", {}, 1},
      {"another stream", R"({"event":"clear","streamSid":"MZ00"})", {}, 1},
      {"no stream", R"({"event":"clear"})", {}, 1},
      {"brackets without end", std::string(100'000, '['), {}, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TwilioDialogue dialogue;
    dialogue.connect();
    CHECK(dialogue.hear(c.message) == c.done);
    CHECK(dialogue.counters.messages_ignored.get() == c.ignored);
    CHECK(dialogue.counters.messages_down.get() == 1);
  }
  TwilioDialogue dialogue;
  dialogue.connect();
  dialogue.driver->binary({}, dialogue.now);
  CHECK(dialogue.sink.take().empty());
  CHECK(dialogue.counters.messages_ignored.get() == 1);
}

TEST_CASE("twilio: marks come back in order, whatever becomes of them") {
  TwilioDialogue dialogue;
  dialogue.connect();
  for (const char* name : {"a", "b\\\"", "c", "d"}) {
    dialogue.hear(std::string(R"({"event":"mark","streamSid":"SID","mark":{"name":")") + name +
                  "\"}}");
  }
  const auto mark = [&](int sequence, const std::string& name) {
    return R"(text {"event":"mark","sequenceNumber":")" + std::to_string(sequence) +
           R"(","streamSid":")" + dialogue.stream_sid + R"(","mark":{"name":")" + name + R"("}})";
  };
  dialogue.driver->mark_done(1, MarkFate::played);
  CHECK(dialogue.sink.take() == Lines{mark(2, "a")});
  dialogue.driver->mark_done(3, MarkFate::cleared);
  CHECK(dialogue.sink.take() == Lines{mark(3, "b\\\""), mark(4, "c")});
  dialogue.driver->mark_done(2, MarkFate::played);
  CHECK(dialogue.sink.take().empty());
  dialogue.driver->mark_done(4, MarkFate::cleared);
  CHECK(dialogue.sink.take() == Lines{mark(5, "d")});
}

TEST_CASE("twilio: a clear that cut something tells how much was heard") {
  TwilioDialogue dialogue;
  dialogue.connect();
  std::string second;  // 8001 octets
  for (int i = 0; i < 2667; ++i) second += "AAAA";
  dialogue.hear(R"({"event":"media","streamSid":"SID","media":{"payload":")" + second + "\"}}");
  dialogue.sink.unheard = milliseconds(400);
  CHECK(dialogue.hear(R"({"event":"clear","streamSid":"SID"})") ==
        Lines{"clear", "event user-interrupted 600"});
  // Of another reply, behind one that was heard to its end.
  const std::string third = R"({"event":"media","streamSid":"SID","media":{"payload":")" + second;
  dialogue.hear(third + "\"}}");
  dialogue.tick_after(milliseconds(2001));
  dialogue.hear(third + "\"}}");
  dialogue.tick_after(milliseconds(900));
  dialogue.hear(third + "\"}}");
  dialogue.sink.unheard = milliseconds(1100);
  CHECK(dialogue.hear(R"({"event":"clear","streamSid":"SID"})") ==
        Lines{"clear", "event user-interrupted 900"});
}

TEST_CASE(
    "twilio: who is spoken over is not heard until the caller has finished or it has noticed") {
  TwilioDialogue dialogue;
  dialogue.connect();
  const std::string media = R"({"event":"media","streamSid":"SID","media":{"payload":"AAAA"}})";
  const std::string clear = R"({"event":"clear","streamSid":"SID"})";
  CHECK(dialogue.hear(media) == Lines{"play 3 octets of pcmu"});
  dialogue.driver->barge_in(dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"clear"});
  CHECK(dialogue.hear(media).empty());
  CHECK(dialogue.hear(R"({"event":"mark","streamSid":"SID","mark":{"name":"a"}})") ==
        Lines{"mark 1", "clear"});
  CHECK(dialogue.counters.audio_fenced.get() == 1);
  dialogue.driver->barge_in_over();
  CHECK(dialogue.hear(media).size() == 1);
  dialogue.driver->barge_in(dialogue.now);
  dialogue.sink.take();
  CHECK(dialogue.hear(clear) == Lines{"clear"});
  CHECK(dialogue.hear(media).size() == 1);
}

TEST_CASE("twilio: how it ends") {
  struct Case {
    std::string description;
    uint16_t code;
    Lines done;
  };
  const Case cases[] = {
      {"the bot is done", 1000, {"event ended finished"}},
      {"a close without code", 1005, {"event ended finished"}},
      {"the bot's process stops",
       1001,
       {"clear", "event call-error connection-lost fatal: closed by the endpoint: 1001 \"why\"",
        "event ended failed"}},
      {"broken",
       1006,
       {"clear", "event call-error connection-lost fatal: closed by the endpoint: 1006 \"why\"",
        "event ended failed"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TwilioDialogue dialogue;
    dialogue.connect();
    dialogue.driver->closed({c.code, "why"}, dialogue.now);
    CHECK(dialogue.sink.take() == c.done);
  }
}

TEST_CASE("twilio: a bot that never says anything") {
  TwilioDialogue dialogue;
  dialogue.connect();
  dialogue.driver->tick(dialogue.now + milliseconds(29'900));
  CHECK(dialogue.sink.take().empty());
  dialogue.driver->tick(dialogue.now + milliseconds(30'000));
  CHECK(dialogue.sink.take() ==
        Lines{"clear", "event call-error reply-timeout fatal: no reply in time", "close 1000"});
  dialogue.driver->closed({1000, ""}, dialogue.now);
  CHECK(dialogue.sink.take() == Lines{"event ended failed"});

  TwilioDialogue talking;
  talking.connect();
  talking.hear(R"({"event":"clear","streamSid":"SID"})");
  talking.driver->tick(talking.now + milliseconds(90'000));
  CHECK(talking.sink.take().empty());
}

TEST_CASE("twilio: a tee plays nothing and answers marks at once") {
  VoiceCall call = a_voice_call();
  call.listen_only = true;
  TwilioDialogue dialogue({}, call);
  dialogue.connect();
  CHECK(dialogue.hear(R"({"event":"media","streamSid":"SID","media":{"payload":"AAAA"}})").empty());
  CHECK(dialogue.hear(R"({"event":"mark","streamSid":"SID","mark":{"name":"m"}})").size() == 1);
  CHECK(dialogue.sink.sent.back().find(R"("mark":{"name":"m"})") != std::string::npos);
}

TEST_CASE("twilio: the upgrade is signed with the configured secret") {
  VoiceProfile profile;
  // RFC 2202 has no such case: computed with `openssl dgst -sha1 -hmac 12345 -binary | base64`.
  profile.signature_secret = "12345";
  profile.headers = {{"X-Call", "${call_id}\r\nX-Evil: 1"}};
  TwilioDialogue dialogue(profile);
  const DialTarget target = dialogue.driver->target();
  CHECK(target.url == "wss://bot.example.net/stream");
  REQUIRE(target.headers.size() == 2);
  CHECK(target.headers[0].value == "call-1@192.0.2.1__X-Evil: 1");
  CHECK(target.headers[1].name == "X-Twilio-Signature");
  CHECK(target.headers[1].value == "CNnJncHI4y43QCZ3+ZxdQSjhfYk=");
}

}  // namespace relay
