// What the drivers share: base64, JSON that is anything, ${variables}.
#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "relay/voice/base64.h"
#include "relay/voice/json_message.h"
#include "relay/voice/variables.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

std::vector<uint8_t> octets(std::string_view text) {
  return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("base64: the vectors of RFC 4648 section 10, both ways") {
  struct Case {
    std::string description, plain, base64;
  };
  const Case cases[] = {
      {"nothing", "", ""},           {"one", "f", "Zg=="},
      {"two", "fo", "Zm8="},         {"three", "foo", "Zm9v"},
      {"four", "foob", "Zm9vYg=="},  {"five", "fooba", "Zm9vYmE="},
      {"six", "foobar", "Zm9vYmFy"}, {"zeros", std::string(3, '\0'), "AAAA"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    std::string encoded = ">";
    append_base64(encoded, octets(c.plain));
    CHECK(encoded == ">" + c.base64);
    CHECK(decode_base64(c.base64) == octets(c.plain));
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Z*==", " Zg==", "Zg==\n",
                          "    ", "Zm9v\nZm9"}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad).has_value());
  }
}

TEST_CASE("JSON from outside: objects only, never an exception") {
  for (const char* bad : {"", "[]", "7", "\"x\"", "{", "{\"a\":\"\xff\"}", "null"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_message(bad).has_value());
  }
  CHECK_FALSE(parse_message("{\"a\":" + std::string(4'000'000, '[')).has_value());
  const auto message =
      parse_message(R"({"t":"x","n":7,"s":"-12","f":1.5,"o":{"k":1},"b":true,"z":null,"e":"1x"})");
  REQUIRE(message.has_value());
  CHECK(text_at(*message, "t") == "x");
  CHECK(text_at(*message, "n").empty());
  CHECK(text_at(*message, "gone").empty());
  CHECK(number_at(*message, "n") == 7);
  CHECK(number_at(*message, "s") == -12);
  CHECK_FALSE(number_at(*message, "e").has_value());
  CHECK_FALSE(number_at(*message, "f").has_value());
  CHECK_FALSE(number_at(*message, "z").has_value());
  CHECK(object_at(*message, "o").size() == 1);
  CHECK(object_at(*message, "t").empty());
  CHECK(is_true_at(*message, "b"));
  CHECK_FALSE(is_true_at(*message, "n"));
  CHECK(json_string("a\"\\\n\xff") == "\"a\\\"\\\\\\n\xEF\xBF\xBD\"");
}

TEST_CASE("variables: each place quotes in its own way") {
  VoiceCall call;
  call.call_id = "a b/c";
  call.caller = "\"},{\r\n";
  call.variables = {{"room", "7"}};
  CHECK(substitute("<${call_id}|${var.room}|${var.none}|${callee}>", call) == "<a b/c|7||>");
  CHECK(substitute("$ {call_id} $call_id ${", call) == "$ {call_id} $call_id ${");
  CHECK(substitute_in_url("wss://x/${call_id}?n=${caller}", call) ==
        "wss://x/a%20b%2Fc?n=%22%7D%2C%7B%0D%0A");
  CHECK(substitute_in_header("id ${caller}", call) == "id \"},{__");
  nlohmann::json document = {{"a", {"${call_id}", 7}}, {"b", {{"c", "${caller}"}}}};
  substitute_in_json(document, call);
  CHECK(document == nlohmann::json{{"a", {"a b/c", 7}}, {"b", {{"c", "\"},{\r\n"}}}});
}

TEST_CASE("variables: what is no variable is named") {
  struct Case {
    std::string description, text, error;
  };
  const Case cases[] = {
      {"none", "plain $5", ""},
      {"all", "${call_id}${caller}${callee}${session_id}${var.x}${env:HOME}${file:/x}", ""},
      {"unknown", "a ${caler} b", "\"caler\": expected call_id"},
      {"not closed", "x ${caller", "\"${caller\": expected } to close"},
      {"no name", "${}", "\"\": expected"},
      {"no name of a variable", "${var.}", "\"var.\": expected"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto checked = check_variables(c.text);
    CHECK(checked.has_value() == c.error.empty());
    if (!checked) CHECK(checked.error().message.starts_with(c.error));
  }
}

TEST_CASE("secrets: from the environment and from files, everything else stays") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("key", "s3cret\r\nmore\n");
  ::setenv("RELAY_TEST_SECRET", "hush", 1);
  CHECK(read_secrets("Bearer ${env:RELAY_TEST_SECRET}/${file:" + path + "}/${call_id}").value() ==
        "Bearer hush/s3cret/${call_id}");
  ::unsetenv("RELAY_TEST_SECRET");
  const auto missing = read_secrets("Bearer ${env:RELAY_TEST_SECRET}");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message ==
        "${env:RELAY_TEST_SECRET}: the environment has no such variable");
  const auto gone = read_secrets("${file:" + path + ".gone}");
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error().message.find("cannot read the first line") != std::string::npos);
}

}  // namespace relay
