// Profiles made ready: templates, secrets and certificates are read, and what is wrong with them is
// told with the profile's line and without the secret.
#include <doctest/doctest.h>

#include <cstdlib>

#include "relay/voice/profile.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

VoiceProfileConfig a_profile() {
  VoiceProfileConfig config;
  config.name = "bot";
  config.source = "relay.toml:7";
  config.url = "wss://bot.example.net/${call_id}";
  return config;
}

}  // namespace

TEST_CASE("profiles: files and secrets are read") {
  const TemporaryDirectory directory;
  ::setenv("RELAY_TEST_TOKEN", "t0ken", 1);
  VoiceProfileConfig config = a_profile();
  config.header_lines = {{"Authorization", "Bearer ${env:RELAY_TEST_TOKEN}"},
                         {"X-Call", "${call_id}"}};
  config.signature_key = "${file:" + directory.write("key", "signs\n") + "}";
  config.template_file = directory.write("t.json", R"({"a":"${caller}"})");
  const auto profile = load_voice_profile(config);
  ::unsetenv("RELAY_TEST_TOKEN");
  REQUIRE(profile.has_value());
  REQUIRE((*profile)->headers.size() == 2);
  CHECK((*profile)->headers[0].value == "Bearer t0ken");
  CHECK((*profile)->headers[1].value == "${call_id}");
  CHECK((*profile)->signature_secret == "signs");
  CHECK((*profile)->session_template == R"({"a":"${caller}"})");
  CHECK((*profile)->tls_context != nullptr);

  VoiceConfig all;
  all.profiles = {a_profile(), a_profile()};
  all.profiles[1].name = "other";
  CHECK(load_voice_profiles(all)->size() == 2);
}

TEST_CASE("profiles: what cannot be read is named") {
  const TemporaryDirectory directory;
  const auto with = [](auto change) {
    VoiceProfileConfig config = a_profile();
    change(config);
    return config;
  };
  using Config = VoiceProfileConfig;
  struct Case {
    std::string description;
    VoiceProfileConfig config;
    std::string message;
  };
  const std::string array = directory.write("array.json", "[]");
  const std::string typo = directory.write("typo.json", R"({"a":"${caler}"})");
  const std::string bare = directory.write("bare.json", R"({"a":${caller}})");
  const std::string empty = directory.write("empty", "");
  const Case cases[] = {
      {"no such variable of the environment", with([](Config& c) {
         c.header_lines = {{"A", "s3cret ${env:RELAY_NONE}"}};
       }),
       "relay.toml:7: voice.bot.headers: ${env:RELAY_NONE}: the environment"},
      {"no such file of a secret",
       with([&](Config& c) { c.signature_key = "${file:" + directory.file("none") + "}"; }),
       "relay.toml:7: voice.bot.signature_key: ${file:"},
      {"an empty file of a secret",
       with([&](Config& c) { c.signature_key = "${file:" + empty + "}"; }),
       "cannot read the first line"},
      {"a variable nobody knows", with([](Config& c) { c.url = "ws://x/${callid}"; }),
       "relay.toml:7: voice.bot.url: \"callid\": expected call_id"},
      {"no template", with([&](Config& c) { c.template_file = directory.file("none"); }),
       "voice.bot.template_file: \"" + directory.file("none") + "\": cannot read"},
      {"a template that is a list", with([&](Config& c) { c.template_file = array; }),
       "expected a JSON object"},
      {"a variable outside of a string", with([&](Config& c) { c.template_file = bare; }),
       "variables stand inside of strings"},
      {"a typo in a template", with([&](Config& c) { c.template_file = typo; }),
       "typo.json\": \"caler\": expected call_id"},
      {"no certificates", with([&](Config& c) { c.tls.ca_file = directory.file("none"); }),
       "voice.bot.tls: ca_file \""},
      {"a certificate that is none",
       with([&](Config& c) { c.tls.certificate_file = c.tls.key_file = empty; }),
       "voice.bot.tls: certificate_file \""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto profile = load_voice_profile(c.config);
    REQUIRE_FALSE(profile.has_value());
    CAPTURE(profile.error().message);
    CHECK(profile.error().message.find(c.message) != std::string::npos);
    CHECK(profile.error().message.find("s3cret") == std::string::npos);
  }
}

}  // namespace relay
