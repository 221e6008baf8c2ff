// The pure parts of a connection: URLs, the upgrade, frames, limits.
#include <doctest/doctest.h>

#include "relay/voice/upgrade.h"
#include "relay/voice/url.h"
#include "relay/voice/voice_thread.h"

namespace relay {
namespace {

Octets octets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// The example of RFC 6455 section 1.3.
const std::string kKey = "dGhlIHNhbXBsZSBub25jZQ==";
const std::string kGood =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

struct Messages final : WebsocketObserver {
  void websocket_message(bool is_text, Octets message) override {
    lines.push_back((is_text ? "text " : "binary ") + std::string(message.begin(), message.end()));
  }
  std::vector<std::string> lines;
};

}  // namespace

TEST_CASE("voice URLs: taken apart") {
  struct Case {
    std::string description, url, host;
    uint16_t port;
    std::string target, authority;
  };
  const Case cases[] = {
      {"plain", "ws://bot.example.net/a?b=c", "bot.example.net", 80, "/a?b=c", "bot.example.net"},
      {"no path", "wss://bot.example.net", "bot.example.net", 443, "/", "bot.example.net"},
      {"a query only", "wss://bot:8443?x", "bot", 8443, "/?x", "bot:8443"},
      {"IPv6", "ws://[2001:db8::1]:81/x", "2001:db8::1", 81, "/x", "[2001:db8::1]:81"},
      {"a fragment", "ws://bot/x#y", "bot", 80, "/x", "bot"},
      {"tcp", "tcp://192.0.2.1:9092", "192.0.2.1", 9092, "", "192.0.2.1:9092"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto url = parse_voice_url(c.url);
    REQUIRE(url.has_value());
    CHECK(url->host == c.host);
    CHECK(url->port == c.port);
    CHECK(url->target == c.target);
    CHECK(url->authority() == c.authority);
  }
  for (const char* bad :
       {"", "bot", "http://bot/", "ws://", "ws://:80/", "ws://bot:0/", "ws://bot:65536/",
        "ws://bot:x/", "ws://bot:80x/", "ws://[::1/", "ws://[::1]x/", "tcp://bot", "tcp://bot:1/x",
        "ws://user@bot/", "ws://bot/ x", "ws://bot/\r\n", "ws://b\xC3\xB6t/"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_voice_url(bad).has_value());
  }
  CHECK(parse_voice_url("http://bot/?key=secret").error().message ==
        "\"http://bot/\": expected ws://HOST…, wss://HOST… or tcp://HOST:PORT");
  CHECK(parse_voice_url("wss://user:secret@bot/").error().message ==
        "\"wss\": expected no user or password; use headers");
}

TEST_CASE("voice URLs: which a call may name") {
  const std::vector<std::string> allowed{"wss://bot.example.net/calls/", "ws://192.0.2.1:81/one"};
  struct Case {
    std::string description, url;
    bool expected;
  };
  const Case cases[] = {
      {"below", "wss://bot.example.net/calls/7", true},
      {"below, with a query", "wss://bot.example.net/calls/?a=../b", true},
      {"the very same", "ws://192.0.2.1:81/one?x", true},
      {"longer than that", "ws://192.0.2.1:81/one/two", false},
      {"another scheme", "ws://bot.example.net/calls/7", false},
      {"another host", "wss://bot.example.net.evil.example/calls/7", false},
      {"another port", "wss://bot.example.net:444/calls/7", false},
      {"a user that looks like it", "wss://bot.example.net@192.0.2.9/calls/7", false},
      {"out of it", "wss://bot.example.net/calls/../admin", false},
      {"out of it, encoded", "wss://bot.example.net/calls/%2e%2E/admin", false},
      {"out of it, backwards", "wss://bot.example.net/calls/..\\admin", false},
      {"no URL", "calls", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(is_allowed_url(c.url, allowed) == c.expected);
  }
}

TEST_CASE("upgrade: the request") {
  const auto url = parse_voice_url("wss://bot.example.net:8443/v1?model=m");
  CHECK(upgrade_request(*url, {{"Authorization", "Bearer x"}}, "audio.jambonz.org", kKey) ==
        "GET /v1?model=m HTTP/1.1\r\nHost: bot.example.net:8443\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: audio.jambonz.org\r\n"
        "Authorization: Bearer x\r\n\r\n");
  CHECK(accept_of(kKey) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("upgrade: the reply") {
  struct Case {
    std::string description, reply;
    bool accepted;
    VoiceError error;
    std::string text;
  };
  const Case cases[] = {
      {"good", kGood, true, {}, ""},
      {"our subprotocol", kGood + "Sec-WebSocket-Protocol: a\r\n", true, {}, ""},
      {"another subprotocol", kGood + "Sec-WebSocket-Protocol: b\r\n", false, VoiceError::rejected,
       "the subprotocol \"b\" that was not asked for"},
      {"an extension", kGood + "Sec-WebSocket-Extensions: permessage-deflate\r\n", false,
       VoiceError::rejected, "an extension that was not asked for"},
      {"no upgrade", "HTTP/1.1 101 x\r\nConnection: close\r\n", false, VoiceError::rejected,
       "the reply of 101 is not of a WebSocket"},
      {"another key's", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", false,
       VoiceError::rejected, "Sec-WebSocket-Accept does not answer our key"},
      {"a redirect", "HTTP/1.1 307 x\r\nLocation: ws://192.0.2.9/\r\n", false, VoiceError::rejected,
       "answered \"HTTP/1.1 307 x\"; redirects are not followed"},
      {"429", "HTTP/1.1 429 Too Many\r\n", false, VoiceError::unavailable,
       "answered \"HTTP/1.1 429 Too Many\""},
      {"408", "HTTP/1.0 408 x\r\n", false, VoiceError::unavailable, "answered \"HTTP/1.0 408 x\""},
      {"no HTTP", "SSH-2.0-x\r\n", false, VoiceError::rejected, "answered \"SSH-2.0-x\""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const std::string whole = c.reply + "\r\n";
    for (size_t size = 0; size < whole.size(); ++size) {
      REQUIRE_FALSE(parse_upgrade_reply(whole.substr(0, size), kKey, "a").has_value());
    }
    const auto reply = parse_upgrade_reply(whole + "frames", kKey, "a");
    REQUIRE(reply.has_value());
    CHECK(reply->bytes == whole.size());
    CHECK(reply->accepted == c.accepted);
    CHECK(reply->text == c.text);
    if (!c.accepted) CHECK(reply->error == c.error);
  }
  const auto logged = parse_upgrade_reply("HTTP/1.1 401 x\r\nx-tt-LOGID:  2026 \r\n\r\n", kKey, "");
  CHECK(logged->log_id == "2026");
  CHECK(parse_upgrade_reply(std::string(16 * 1024, 'x'), kKey, "")->error == VoiceError::rejected);
}

TEST_CASE("frames: a message however it is cut, pings answered, the close kept") {
  const std::string stream = std::string("\x01\x02He") + std::string("\x89\x01p") +
                             std::string("\x80\x03llo") + std::string("\x82\x00", 2) +
                             std::string(
                                 "\x88\x05\x03\xe8"
                                 "bye");
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    CAPTURE(piece);
    Messages messages;
    Websocket websocket(100, messages);
    std::vector<uint8_t> out;
    for (size_t at = 0; at < stream.size(); at += piece) {
      CHECK(websocket.receive(octets(std::string_view(stream).substr(at, piece))));
      websocket.take_out(out);
    }
    CHECK(messages.lines == std::vector<std::string>{"text Hello", "binary "});
    CHECK(websocket.close_received());
    CHECK(websocket.close_frame().code == 1000);
    CHECK(websocket.close_frame().reason == "bye");
    // The pong, masked; in one piece with a close it is left out. Then the close.
    CHECK(out.size() == (piece >= stream.size() ? 11 : 7 + 11));
    CHECK(out[out.size() - 11] == 0x88);
    CHECK(out[1] >= 0x80);
    CHECK(websocket.close_sent());
  }
}

TEST_CASE("frames: the limit is of the message, not of a frame") {
  Messages messages;
  Websocket websocket(10, messages);
  CHECK(
      websocket.receive(octets("\x02\x06"
                               "123456")));
  CHECK_FALSE(
      websocket.receive(octets("\x80\x05"
                               "78901")));
  CHECK(websocket.failure() == VoiceError::too_big);
  CHECK(messages.lines.empty());
  Websocket exact(11, messages);
  CHECK(
      exact.receive(octets("\x02\x06"
                           "123456")));
  CHECK(
      exact.receive(octets("\x80\x05"
                           "78901")));
  CHECK(messages.lines.size() == 1);
}

TEST_CASE("starts: no more a minute than allowed, whenever the minute begins") {
  StartLimiter limiter;
  Instant now = from_ns(0);
  for (int i = 0; i < 3; ++i) {
    CHECK(limiter.admit(3, now));
    now += std::chrono::seconds(10);
  }
  CHECK_FALSE(limiter.admit(3, now));
  now = from_ns(0) + std::chrono::seconds(60);
  CHECK(limiter.admit(3, now));
  CHECK_FALSE(limiter.admit(3, now));
  CHECK(limiter.admit(3, now + std::chrono::seconds(10)));
  CHECK_FALSE(limiter.admit(0, now));
}

}  // namespace relay
