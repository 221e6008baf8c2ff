// Doubao's binary frames, byte for byte.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "relay/voice/doubao_errors.h"
#include "relay/voice/doubao_frame.h"

namespace relay {
namespace {

using OctetVector = std::vector<uint8_t>;
using Event = DoubaoFrame::Event;
using Type = DoubaoFrame::Type;

constexpr std::string_view kSession = "75a6126e-427f-49a1-a2c1-621143cb9db3";
const std::string kSessionHex =
    "00000024 37356136313236652d343237662d343961312d613263312d363231313433636239646233";
const std::string kStartSessionHex =
    "1114100000000064" + kSessionHex +
    "0000003c7b226469616c6f67223a7b22626f745f6e616d65223a22e8b186e58c85222c226469616c6f675f6964223a"
    "22222c226578747261223a6e756c6c7d7d";

OctetVector from_hex(std::string_view hex) {
  OctetVector bytes;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') digits += c;
  }
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Octets octets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::string text(Octets octets) {
  return {octets.begin(), octets.end()};
}

}  // namespace

TEST_CASE("doubao frames: a client's, against the examples of the documentation") {
  struct Case {
    std::string description;
    Type type;
    bool is_json;
    Event event;
    std::string payload;
    std::string hex;
    size_t size;
  };
  const Case cases[] = {
      {"StartConnection", Type::full_request, true, Event::start_connection, "{}",
       "11141000 00000001 00000002 7b7d", 14},
      {"FinishConnection", Type::full_request, true, Event::finish_connection, "{}",
       "11141000 00000002 00000002 7b7d", 14},
      {"StartSession", Type::full_request, true, Event::start_session,
       R"({"dialog":{"bot_name":"豆包","dialog_id":"","extra":null}})", kStartSessionHex, 112},
      {"FinishSession", Type::full_request, true, Event::finish_session, "{}",
       "11141000 00000066" + kSessionHex + "00000002 7b7d", 54},
      {"SayHello", Type::full_request, true, Event::say_hello, R"({"content":"您好"})",
       "11141000 0000012c" + kSessionHex + "00000014 7b22636f6e74656e74223a22e682a8e5a5bd227d", 72},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    DoubaoFrame frame;
    frame.type = c.type;
    frame.is_json = c.is_json;
    frame.event = c.event;
    frame.id = kSession;
    frame.payload = octets(c.payload);
    OctetVector encoded;
    encode_doubao_frame(frame, encoded);
    CHECK(encoded == from_hex(c.hex));
    CHECK(encoded.size() == c.size);

    const auto parsed = parse_doubao_frame(encoded);
    REQUIRE(parsed.has_value());
    CHECK(parsed->type == c.type);
    CHECK(parsed->is_json == c.is_json);
    CHECK(parsed->event == c.event);
    CHECK(text(parsed->payload) == c.payload);
  }
}

TEST_CASE("doubao frames: 20 ms of audio are 692 bytes") {
  const OctetVector audio(640, 0x5A);
  DoubaoFrame frame;
  frame.type = Type::audio_request;
  frame.is_json = false;
  frame.event = Event::task_request;
  frame.id = kSession;
  frame.payload = audio;
  OctetVector encoded;
  encode_doubao_frame(frame, encoded);
  OctetVector expected = from_hex("11240000 000000c8" + kSessionHex + "00000280");
  expected.insert(expected.end(), audio.begin(), audio.end());
  CHECK(encoded == expected);
  CHECK(encoded.size() == 692);
}

TEST_CASE("doubao frames: the server's") {
  OctetVector response = from_hex("11b40000 00000160" + kSessionHex + "000007fc");
  response.resize(response.size() + 0x7fc, 'O');
  auto frame = parse_doubao_frame(response);
  REQUIRE(frame.has_value());
  CHECK(frame->type == Type::audio_response);
  CHECK(frame->event == Event::tts_response);
  CHECK(frame->id == kSession);
  CHECK(frame->payload.size() == 0x7fc);
  CHECK_FALSE(frame->is_json);

  const OctetVector started = from_hex("11941000 00000032 00000003 616263 00000002 7b7d");
  frame = parse_doubao_frame(started);
  REQUIRE(frame.has_value());
  CHECK(frame->event == Event::connection_started);
  CHECK(frame->id == "abc");

  const OctetVector last = from_hex("11b30000 fffffffe 00000002 0102");
  frame = parse_doubao_frame(last);
  REQUIRE(frame.has_value());
  CHECK(frame->sequence == -2);
  CHECK(frame->event == Event::none);
  CHECK(frame->payload.size() == 2);

  // Header of two words, an event nobody knows, bytes behind the payload.
  const OctetVector odd = from_hex("12941000 aabbccdd 00000999 00000001 78 00000001 79 ff");
  frame = parse_doubao_frame(odd);
  REQUIRE(frame.has_value());
  CHECK(static_cast<uint32_t>(frame->event) == 0x999);
  CHECK(text(frame->payload) == "y");
}

TEST_CASE("doubao frames: errors, in whichever order they come") {
  struct Case {
    std::string description, hex;
    std::optional<uint32_t> code;
    std::string payload;
  };
  const Case cases[] = {
      {"the code, then the payload", "11f01000 02aea541 00000002 6869", 45000001, "hi"},
      {"code, event, session", "11f41000 02aea541 00000099 00000001 78 00000002 6869", 45000001,
       "hi"},
      {"event, session, code", "11f41000 00000099 00000001 78 02aea541 00000002 6869", 45000001,
       "hi"},
      {"an event flag and no event", "11f41000 02aea541 00000002 6869", 45000001, "hi"},
      {"a length that is none", "11f01000 02aea541 ffffffff 6869", 45000001,
       std::string("\xff\xff\xff\xff") + "hi"},
      {"a code only", "11f01000 02aea541", 45000001, ""},
      {"nothing", "11f01000", std::nullopt, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const OctetVector bytes = from_hex(c.hex);
    const auto frame = parse_doubao_frame(bytes);
    REQUIRE(frame.has_value());
    CHECK(frame->type == Type::error);
    CHECK(frame->error_code == c.code);
    CHECK(text(frame->payload) == c.payload);
  }
}

TEST_CASE("doubao frames: what is none") {
  struct Case {
    std::string description, hex;
  };
  const Case cases[] = {
      {"empty", ""},
      {"three bytes", "119410"},
      {"another version", "21941000 00000032 00000000 00000000"},
      {"a header of no words", "10941000 00000032 00000000 00000000"},
      {"a header beyond the end", "1f941000 00000032"},
      {"gzip", "11941100 00000032 00000000 00000000"},
      {"a type nobody knows", "11741000 00000032 00000000 00000000"},
      {"an id beyond the end", "11941000 00000032 ffffffff 00000000"},
      {"a payload beyond the end", "11941000 00000032 00000000 00000001"},
      {"no payload length", "11941000 00000032 00000000"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK_FALSE(parse_doubao_frame(from_hex(c.hex)).has_value());
  }
}

TEST_CASE("doubao errors: five may pass, four stays") {
  struct Case {
    std::string description;
    std::optional<int64_t> code;
    std::string text;
    VoiceError expected;
  };
  const Case cases[] = {
      {"server", 55000001, "ContextCanceled", VoiceError::endpoint_error},
      {"query", 50000000, "", VoiceError::endpoint_error},
      {"idle", 52000042, "DialogAudioIdleTimeoutError", VoiceError::endpoint_error},
      {"parameters", 42000020, "", VoiceError::endpoint_refusal},
      {"speaker", 45000001, "", VoiceError::endpoint_refusal},
      {"speaker, by name", 55000001, "InvalidSpeaker", VoiceError::endpoint_refusal},
      {"code in the text", std::nullopt, "[code=52000011] backend", VoiceError::endpoint_error},
      {"another in the text", std::nullopt, "42000020: extra", VoiceError::endpoint_refusal},
      {"a longer number is no code", std::nullopt, "at 1520000111", VoiceError::endpoint_refusal},
      {"no code", std::nullopt, "sorry", VoiceError::endpoint_refusal},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(classify_doubao_error(c.code, c.text) == c.expected);
  }
}

}  // namespace relay
