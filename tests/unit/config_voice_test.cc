// [voice] and its profiles: what they set, and what is refused with the line it stands on.
#include <string>

#include "relay/config/toml_file.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/config_support.h"

namespace relay {
namespace {

constexpr const char* kProfiles = R"(
[voice]
sessions_max = 7
starts_per_minute = 8
payload_types = ["111=none", "96=L16/16000"]
webhook = ["http://192.0.2.1/hook", "http://example.com:8080/"]
webhook_headers = ["Authorization: Bearer ${env:HOOK_TOKEN}"]
notify = true
[voice.bot]
driver = "twilio"
url = "wss://bot.example.net/stream"
allow_urls = ["wss://bot.example.net/", "ws://192.0.2.1/"]
subprotocol = "x"
headers = ["Authorization: Bearer ${env:BOT_TOKEN}", "X-Empty:"]
parameters = ["language=en", "a=b=c"]
account_sid = "AC0"
signature_key = "${file:/etc/key}"
policy = "mute-other"
on_end = "hangup-event"
on_fail = "play /var/sorry"
prebuffer_ms = 80
echo_cancellation = true
echo_tail_ms = 128
barge_in_after_ms = 300
connect_timeout_ms = 3000
reply_timeout_ms = 0
ping_seconds = 5
retries = 0
message_bytes_max = 65536
verify = false
ca_file = "/ca"
certificate_file = "/crt"
key_file = "/key"
server_name = "other"
[voice.db]
driver = "doubao"
url = "wss://192.0.2.1/"
template_file = "/t.json"
greeting = "您好"
end_smooth_window_ms = 700
reply_late_ms = 0
reply_stall_ms = 1500
[voice.db3]
driver = "doubao"
dialect = "v3"
url = "wss://192.0.2.1/"
[voice.raw]
driver = "l16"
url = "ws://192.0.2.1/"
rate_hz = 8000
play_rate_hz = 24000
[voice.oa]
driver = "openai"
dialect = "openai-beta"
url = "wss://192.0.2.1/"
audio = "pcma"
[voice.as]
driver = "audiosocket"
url = "tcp://192.0.2.1:9092"
)";

VoiceConfig voice_of(const std::string& text, Words words = {}) {
  const TemporaryDirectory directory;
  words.insert(words.end(), {"--config", directory.write("relay.toml", text)});
  return parse_good(words).runtime.voice;
}

}  // namespace

TEST_CASE("voice: every key of all profiles") {
  const VoiceConfig voice = voice_of(kProfiles);
  CHECK(voice.sessions_max == 7);
  CHECK(voice.starts_per_minute == 8);
  REQUIRE(voice.payload_types.size() == 2);
  CHECK(voice.payload_types[0].number == 111);
  CHECK(voice.payload_types[0].encoding == "none");
  CHECK(voice.payload_types[1].encoding == "L16/16000");
  CHECK(contains(voice.payload_types[1].source, "relay.toml:5: voice.payload_types"));
  REQUIRE(voice.webhooks.size() == 2);
  CHECK(voice.webhooks[1].url == "http://example.com:8080/");
  CHECK(contains(voice.webhooks[1].source, "relay.toml:6: voice.webhook"));
  CHECK(voice.webhook_headers ==
        std::vector<VoiceParameter>{{"Authorization", "Bearer ${env:HOOK_TOKEN}"}});
  CHECK(contains(voice.webhook_headers_source, "relay.toml:7: voice.webhook_headers"));
  CHECK(voice.notify);
}

TEST_CASE("voice profiles: every key") {
  const VoiceConfig voice = voice_of(kProfiles);
  REQUIRE(voice.profiles.size() == 6);
  const auto find = [&](const std::string& name) {
    for (const VoiceProfileConfig& profile : voice.profiles) {
      if (profile.name == name) return profile;
    }
    return VoiceProfileConfig{};
  };
  const VoiceProfileConfig bot = find("bot");
  CHECK(bot.driver == VoiceDriverKind::twilio);
  CHECK(bot.url == "wss://bot.example.net/stream");
  CHECK(bot.allow_urls.size() == 2);
  CHECK(bot.subprotocol == "x");
  CHECK(bot.header_lines ==
        std::vector<VoiceParameter>{{"Authorization", "Bearer ${env:BOT_TOKEN}"}, {"X-Empty", ""}});
  CHECK(bot.parameters == std::vector<VoiceParameter>{{"language", "en"}, {"a", "b=c"}});
  CHECK(bot.account_sid == "AC0");
  CHECK(bot.signature_key == "${file:/etc/key}");
  CHECK(bot.policy == VoicePolicy::mute_other);
  CHECK(bot.on_end == VoiceEndPolicy::hangup_event);
  CHECK(bot.on_fail == VoiceFailPolicy::play);
  CHECK(bot.on_fail_file == "/var/sorry");
  CHECK(bot.prebuffer.count() == 80);
  CHECK(bot.echo_cancellation);
  CHECK(bot.echo_tail.count() == 128);
  CHECK(bot.reply_late.count() == 3000);
  CHECK(bot.reply_stall.count() == 2000);
  CHECK(bot.barge_in_after.count() == 300);
  CHECK(bot.connect_timeout.count() == 3000);
  CHECK(bot.reply_timeout.count() == 0);
  CHECK(bot.ping_interval.count() == 5);
  CHECK(bot.retries == 0);
  CHECK(bot.message_bytes_max == 65536);
  CHECK(bot.tls == VoiceTlsConfig{false, "/ca", "/crt", "/key", "other"});

  CHECK(find("db").dialect == VoiceDialect::v1);
  CHECK(find("db").template_file == "/t.json");
  CHECK(find("db").greeting == "您好");
  CHECK(find("db").end_smooth_window_ms == 700);
  CHECK(find("db").reply_late.count() == 0);
  CHECK(find("db").reply_stall.count() == 1500);
  CHECK(find("db").prebuffer.count() == 0);
  CHECK(find("db").barge_in_after.count() == 0);
  CHECK_FALSE(find("db").echo_cancellation);
  CHECK(find("db3").dialect == VoiceDialect::v3);
  CHECK(find("db3").end_smooth_window_ms == 600);
  CHECK(find("raw").subprotocol == "audio.jambonz.org");
  CHECK(find("raw").rate_hz == 8000);
  CHECK(find("raw").play_rate_hz == 24000);
  CHECK(find("raw").prebuffer.count() == 60);
  CHECK(find("oa").dialect == VoiceDialect::openai_beta);
  CHECK(find("oa").audio == VoiceAudio::pcma);
  CHECK(find("as").rate_hz == 8000);
#define VOICE_LIMIT(key, kind) CHECK(contains(kProfiles, #key " = "));
#define VOICE_KEY(key, kind, drivers) CHECK(contains(kProfiles, #key " = "));
#include "relay/config/voice_keys.def"
#undef VOICE_KEY
#undef VOICE_LIMIT
}

TEST_CASE("voice profiles: the command line wins, key by key") {
  const VoiceConfig voice =
      voice_of("[voice.bot]\ndriver = \"twilio\"\nurl = \"ws://192.0.2.1/\"\n",
               {"--voice=bot.url=ws://192.0.2.2/", "--voice=sessions_max=3"});
  REQUIRE(voice.profiles.size() == 1);
  CHECK(voice.profiles[0].url == "ws://192.0.2.2/");
  CHECK(voice.sessions_max == 3);
  CHECK(contains(error_of({"--voice=bot"}), "expected PROFILE.KEY=VALUE"));
  CHECK(contains(error_of({"--voice=bot.url=x"}), "expected a driver"));
  CHECK(contains(error_of({"--voice=bot.retries=x"}), "--voice bot.retries: \"x\""));
}

TEST_CASE("voice: one webhook needs no list, and what is none is refused") {
  const VoiceConfig voice = voice_of("[voice]\nwebhook = \"http://192.0.2.1/\"\n");
  REQUIRE(voice.webhooks.size() == 1);
  CHECK(voice.webhooks[0].url == "http://192.0.2.1/");
  CHECK_FALSE(voice.notify);
  const TemporaryDirectory directory;
  const std::string file = directory.write("relay.toml", "[voice]\nwebhook = [{}]\n");
  CHECK(contains(error_of({"--config", file}), "relay.toml:2: voice.webhook: expected a string"));
}

TEST_CASE("voice profiles: every rate, in either direction") {
  for (const int hz : kVoiceRatesHz) {
    CAPTURE(hz);
    const std::string rate = std::to_string(hz);
    const VoiceConfig voice =
        voice_of("[voice.raw]\ndriver = \"l16\"\nurl = \"ws://192.0.2.1/\"\nrate_hz = " + rate +
                 "\nplay_rate_hz = " + rate + "\n");
    REQUIRE(voice.profiles.size() == 1);
    CHECK(voice.profiles[0].rate_hz == hz);
    CHECK(voice.profiles[0].play_rate_hz == hz);
    if (hz > kAudiosocketRateMaxHz) continue;
    const VoiceConfig socket = voice_of(
        "[voice.as]\ndriver = \"audiosocket\"\nurl = \"tcp://192.0.2.1:1\"\nrate_hz = " + rate +
        "\n");
    REQUIRE(socket.profiles.size() == 1);
    CHECK(socket.profiles[0].rate_hz == hz);
  }
}

TEST_CASE("voice profiles: what is refused") {
  const std::string good = "[voice.b]\ndriver = \"twilio\"\nurl = \"ws://192.0.2.1/\"\n";
  struct Case {
    std::string description, text, message;
  };
  const Case cases[] = {
      {"an unknown key", good + "ulr = \"x\"\n",
       "relay.toml:4: voice.b.ulr: unknown key \"ulr\": did you mean url?"},
      {"an unknown key of all", "[voice]\nsession_max = 1\n",
       "relay.toml:2: voice.session_max: unknown key \"session_max\": did you mean sessions_max?"},
      {"a payload type without a number", "[voice]\npayload_types = [\"opus\"]\n",
       "relay.toml:2: voice.payload_types: \"opus\": expected NUMBER=ENCODING, such as 111=opus"},
      {"a payload type out of range", "[voice]\npayload_types = [\"128=opus\"]\n",
       "\"128=opus\": expected NUMBER=ENCODING"},
      {"a number for text", "[voice.b]\nurl = []\n",
       "relay.toml:2: voice.b.url: expected a string in quotes"},
      {"text for a list", good + "headers = \"A: b\"\n",
       "relay.toml:4: voice.b.headers: expected a list of strings"},
      {"a table in a list", good + "headers = [{}]\n", "relay.toml:4: voice.b.headers"},
      {"a driver nobody has", "[voice.b]\ndriver = \"sip\"\n",
       "relay.toml:2: voice.b.driver: \"sip\": expected one of twilio, doubao, l16"},
      {"a number too large", good + "retries = 11\n", "relay.toml:4: voice.b.retries: \"11\""},
      {"no driver", "[voice.b]\nurl = \"ws://192.0.2.1/\"\n", "profile b: expected a driver"},
      {"no url", "[voice.b]\ndriver = \"twilio\"\n", "profile b: expected a url"},
      {"another scheme", "[voice.b]\ndriver = \"twilio\"\nurl = \"http://x/\"\n",
       "profile b: expected ws:// or wss:// URLs"},
      {"a WebSocket for AudioSocket", "[voice.b]\ndriver = \"audiosocket\"\nurl = \"ws://x/\"\n",
       "profile b: expected tcp:// URLs"},
      {"a key of another driver", good + "rate_hz = 8000\n",
       "relay.toml:4: voice.b.rate_hz: the driver twilio has no such key"},
      {"a dialect of another driver",
       "[voice.b]\ndriver = \"openai\"\nurl = \"ws://x/\"\ndialect = \"v1\"\n",
       "the dialect is of another driver; expected openai"},
      {"half of a certificate", good + "key_file = \"/k\"\n", "expected certificate_file and"},
      {"a rate that is none", "[voice.b]\nrate_hz = 9000\n",
       "relay.toml:2: voice.b.rate_hz: \"9000\": expected a sample rate, one of 8000, 12000, "
       "16000, 24000, 32000, 44100, 48000, 64000"},
      {"another one", "[voice.b]\nplay_rate_hz = 64001\n",
       "relay.toml:2: voice.b.play_rate_hz: \"64001\": expected a sample rate, one of 8000, "},
      {"a rate that AudioSocket has no type for",
       "[voice.b]\nrate_hz = 64000\ndriver = \"audiosocket\"\nurl = \"tcp://192.0.2.1:1\"\n",
       "relay.toml:2: voice.b.rate_hz: \"64000\": expected a sample rate of AudioSocket, one of "
       "8000, 12000, 16000, 24000, 32000, 44100, 48000"},
      {"a name with a dot", "[voice.\"a b\"]\nurl = \"x\"\n",
       "\"a b\": expected a name of letters"},
      {"a parameter without a value", good + "parameters = [\"x\"]\n", "expected NAME=VALUE"},
      {"a policy of failure", good + "on_fail = \"play\"\n", "expected pass, silence, play FILE"},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of({"--config", directory.write("relay.toml", c.text)});
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
  for (const std::string header : {"no colon s3cret", ": s3cret", "A b: s3cret", "A: s3cret\\n"}) {
    CAPTURE(header);
    const std::string message = error_of(
        {"--config", directory.write("relay.toml", good + "headers = [\"" + header + "\"]\n")});
    CHECK(contains(message, "relay.toml:4: voice.b.headers: expected \"NAME: VALUE\""));
    CHECK_FALSE(contains(message, "s3cret"));
  }
}

TEST_CASE("voice rules: every key, in the order of the file") {
  const std::string text = R"(
[voice.bot]
driver = "twilio"
url = "ws://192.0.2.1/"
[[voice.auto]]
call_id = "ivr-*"
caller = ["192.0.2.0/24", "2001:db8::/32"]
callee = ["198.51.100.1"]
caller_listener = ["external", "six"]
callee_listener = "10.0.0.1"
tos = 184
on = "answer"
profile = "bot"
party = "callee"
policy = "mix"
[[voice.auto]]
profile = "bot"
on = "instead-of-record"
stereo = true
)";
  const VoiceConfig voice = voice_of(text, {"-l", "10.0.0.1/203.0.113.1", "-6", "six@2001:db8::1"});
  REQUIRE(voice.rules.size() == 2);
  const VoiceRule& first = voice.rules[0];
  CHECK(first.number == 1);
  CHECK(first.call_id == "ivr-*");
  REQUIRE(first.caller.size() == 2);
  CHECK(first.caller[1].contains(*IpAddress::parse("2001:db8::7")));
  REQUIRE(first.callee.size() == 1);
  CHECK(first.callee[0].contains(*IpAddress::parse("198.51.100.1")));
  REQUIRE(first.caller_listeners.size() == 2);
  REQUIRE(first.caller_listeners[0].addresses.size() == 1);
  CHECK(first.caller_listeners[0].addresses[0].bind == *IpAddress::parse("203.0.113.1"));
  CHECK(first.caller_listeners[1].addresses[0].label == "six");
  REQUIRE(first.callee_listeners.size() == 1);
  CHECK(first.callee_listeners[0].addresses[0].bind == *IpAddress::parse("10.0.0.1"));
  CHECK(first.tos == 184);
  CHECK(first.on == VoiceOccasion::answer);
  CHECK(first.profile == "bot");
  CHECK(first.is_callee);
  CHECK(first.policy == VoicePolicy::mix);
  CHECK_FALSE(first.stereo);
  CHECK(voice.rules[1].caller_listeners.empty());
  CHECK_FALSE(voice.rules[1].tos);
  CHECK(voice.rules[1].on == VoiceOccasion::instead_of_record);
  CHECK(voice.rules[1].policy == VoicePolicy::tee);
  CHECK(voice.rules[1].stereo);
#define VOICE_RULE(key, kind) CHECK(contains(text, #key " = "));
#include "relay/config/voice_rule_keys.def"
#undef VOICE_RULE
}

TEST_CASE("voice rules: what is refused") {
  const std::string bot = "[voice.bot]\ndriver = \"twilio\"\nurl = \"ws://192.0.2.1/\"\n";
  const std::string good = bot + "[[voice.auto]]\nprofile = \"bot\"\n";
  struct Case {
    std::string description, text, message;
  };
  const Case cases[] = {
      {"no profile", bot + "[[voice.auto]]\non = \"answer\"\n",
       "relay.toml:5: voice.auto.1.on: voice rule 1: expected a profile"},
      {"a profile there is not", bot + "[[voice.auto]]\nprofile = \"bto\"\n",
       "relay.toml:5: voice.auto.1.profile: voice rule 1: profile \"bto\": expected one of"},
      {"an unknown key", good + "polciy = \"tee\"\n",
       "relay.toml:6: voice.auto.1.polciy: unknown key \"polciy\": did you mean policy?"},
      {"no address", good + "caller = [\"192.0.2.0/33\"]\n",
       "relay.toml:6: voice.auto.1.caller: \"192.0.2.0/33\": expected an address or"},
      {"text for a list", good + "caller = \"192.0.2.1\"\n",
       "relay.toml:6: voice.auto.1.caller: expected a list of strings"},
      {"no listener", good + "caller_listener = \"six\"\n",
       "relay.toml:6: voice.auto.1.caller_listener: \"six\": expected a media address, one of "
       "out, 10.0.0.1, 203.0.113.1, x, 2001:db8::1"},
      {"a side, but no bridge", good + "callee_listener = [\"out\", \"external\"]\n",
       "relay.toml:6: voice.auto.1.callee_listener: \"external\": expected a media address"},
      {"an address of nobody", good + "callee_listener = \"192.0.2.9\"\n",
       "\"192.0.2.9\": expected"},
      {"a table for a listener", good + "caller_listener = [{}]\n",
       "relay.toml:6: voice.auto.1.caller_listener: expected a string in quotes or a list of them"},
      {"a TOS of two bytes", good + "tos = 256\n",
       "relay.toml:6: voice.auto.1.tos: \"256\": expected a whole number from 1 to 255"},
      {"a TOS that no command gives", good + "tos = 0\n",
       "relay.toml:6: voice.auto.1.tos: \"0\": expected a whole number from 1 to 255"},
      {"a TOS by name", good + "tos = \"ef\"\n",
       "relay.toml:6: voice.auto.1.tos: \"ef\": expected a whole number from 1 to 255"},
      {"an occasion", good + "on = \"ring\"\n",
       "\"ring\": expected one of answer, record, instead-of-record"},
      {"a party", good + "party = \"both\"\n", "\"both\": expected one of caller, callee"},
      {"stereo that speaks", good + "stereo = true\n", "stereo goes with the policy tee"},
      {"a recording that speaks", good + "on = \"record\"\npolicy = \"mix\"\n",
       "expected the policy tee"},
      {"the second rule", good + "[[voice.auto]]\nprofile = \"x\"\n", "voice rule 2: profile"},
      {"a profile of that name", "[voice.auto]\ndriver = \"twilio\"\n",
       "relay.toml:2: voice.auto.driver: \"auto\" is no profile: expected rules, [[voice.auto]]"},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string message = error_of({"-l", "out@10.0.0.1=203.0.113.1", "-6", "x@2001:db8::1",
                                          "--config", directory.write("relay.toml", c.text)});
    CAPTURE(message);
    CHECK(contains(message, c.message));
  }
}

TEST_CASE("voice rules: what a listener is called") {
  struct Case {
    std::string description;
    Words addresses;
    std::string name;
    std::vector<std::string> labels;  // of what it names, or else the address
  };
  const Case cases[] = {
      {"the sides of a bridge", {"-l", "10.0.0.1/203.0.113.1"}, "internal", {"10.0.0.1"}},
      {"the other one", {"-l", "10.0.0.1/203.0.113.1"}, "external", {"203.0.113.1"}},
      {"what is shown", {"-l", "in@10.0.0.1=203.0.113.1"}, "203.0.113.1", {"in"}},
      {"another spelling", {"-6", "x@2001:db8::1"}, "2001:db8:0::1", {"x"}},
      {"one address, shown in two ways",
       {"-l", "a@10.0.0.1=203.0.113.1", "-l", "b@10.0.0.1=203.0.113.2"},
       "10.0.0.1",
       {"a", "b"}},
      {"one of them", {"-l", "a@10.0.0.1=203.0.113.1", "-l", "b@10.0.0.1=203.0.113.2"}, "b", {"b"}},
      {"no address given", {}, "0.0.0.0", {"0.0.0.0"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const VoiceConfig voice = voice_of(
        "[voice.bot]\ndriver = \"twilio\"\nurl = \"ws://192.0.2.1/\"\n"
        "[[voice.auto]]\nprofile = \"bot\"\ncaller_listener = \"" +
            c.name + "\"\n",
        c.addresses);
    REQUIRE(voice.rules.size() == 1);
    REQUIRE(voice.rules[0].caller_listeners.size() == 1);
    std::vector<std::string> labels;
    for (const LocalAddressConfig& each : voice.rules[0].caller_listeners[0].addresses) {
      labels.push_back(each.label.empty() ? each.bind.to_string() : each.label);
    }
    CHECK(labels == c.labels);
  }
}

TEST_CASE("voice rules: a reload looks for listeners among the addresses in use") {
  const std::string bot = "[voice.bot]\ndriver = \"twilio\"\nurl = \"ws://192.0.2.1/\"\n";
  const TemporaryDirectory directory;
  const std::string path = directory.write("relay.toml", "[media]\naddresses = [\"192.0.2.1\"]\n");
  const Config config = parse_good({"--config", path});
  const auto reload = [&](const std::string& listener) {
    directory.write("relay.toml", "[media]\naddresses = [\"192.0.2.2\"]\n" + bot +
                                      "[[voice.auto]]\nprofile = \"bot\"\ncaller_listener = \"" +
                                      listener + "\"\n");
    return load_runtime(config.startup);
  };
  const auto known = reload("192.0.2.1");
  REQUIRE(known);
  CHECK(known->voice.rules[0].caller_listeners[0].addresses.size() == 1);
  CHECK(contains(reload("192.0.2.2").error().message,
                 "relay.toml:8: voice.auto.1.caller_listener: \"192.0.2.2\": expected a media "
                 "address, one of 192.0.2.1"));
}

}  // namespace relay
