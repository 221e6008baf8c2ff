#include "ctlproto/format.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ctlproto/parse.h"
#include "ctlproto/reply.h"

using namespace std::string_literals;

namespace ctlproto {

TEST_CASE("every command has one canonical text, which reads back the same") {
  struct Case {
    std::string description, command, canonical;
  };
  const std::vector<Case> cases = {
      {"letters in a fixed order", "UNz20c0,8R[2001:DB8::1]W6ieS c 2001:db8::5 4000 ft",
       "Usie6wnz20c0,8r[2001:DB8::1] c 2001:db8::5 4000 ft"},
      {"asymmetric, and an IPv4 address last", "Ur192.0.2.9a6 c 2001:db8::5 4 ft",
       "Ua6r192.0.2.9 c 2001:db8::5 4 ft"},
      {"brackets without a colon", "ul[beef] c 192.0.2.1 4 ft", "Ul[beef] c 192.0.2.1 4 ft"},
      {"a label", "ul{Lan} c 192.0.2.1 4 ft tt", "Ul{Lan} c 192.0.2.1 4 ft tt"},
      {"an empty codec list", "Uc c 192.0.2.1 4 ft", "Uc, c 192.0.2.1 4 ft"},
      {"stray bytes", "UZ20\0\0\0c96,97 c 192.0.2.1 4 ft"s, "Uz20c96,97 c 192.0.2.1 4 ft"},
      {"an address that is none", "U c nowhere-to-be-found.example x ft", "U c - 0 ft"},
      {"a glued notify socket", "U c 192.0.2.1 4 ft tcp:192.0.2.9:3;a%20/b",
       "U c 192.0.2.1 4 ft tcp:192.0.2.9:3 a%20%2Fb"},
      {"a blank in a notify tag may be a plus", "U c 192.0.2.1 4 ft /run/sock a+b%2B",
       "U c 192.0.2.1 4 ft /run/sock a%20b%2B"},
      {"a notify tag that looks like a socket", "U c 192.0.2.1 4 ft name tcp%3Ax",
       "U c 192.0.2.1 4 ft name tcp%3Ax"},
      {"lookup", "lw c 192.0.2.1 4 ft tt", "Lw c 192.0.2.1 4 ft tt"},
      {"delete", "dw c ft", "Dw c ft"},
      {"delete with an empty from-tag", "D c  tt", "D c  tt"},
      {"play", "P c n session ft", "P1 c n session ft"},
      {"play endlessly", "p-1 c n 0,8 ft tt", "P-1 c n 0,8 ft tt"},
      {"stop", "s c ft", "S c ft"},
      {"record", "rs c ft", "Rs c ft"},
      {"copy", "Cps c udp:192.0.2.9:3 ft tt", "Csp c udp:192.0.2.9:3 ft tt"},
      {"stop recording", "na c ft", "Na c ft"},
      {"query", "qv c ft tt ttl && d", "Qv c ft tt ttl && D"},
      {"version", "v", "V"},
      {"feature", "vf x", "VF x"},
      {"info", "ilb", "Ibl"},
      {"stats", "gv a b", "Gv a b"},
      {"delete all", "x", "X"},
      {"json", "j sessions 5", "J sessions 5"},
      {"json without argument", "j sessions", "J sessions"},
      {"sub-commands",
       "U c 192.0.2.1 4 ft tt && lw6 192.0.2.1 5 && s ttl=9 && Sr tos=3 && c a b c && m3:1 x && dw",
       "U c 192.0.2.1 4 ft tt && Lw 192.0.2.1 5 && S ttl=9 && Sr tos=3 && C a b c && M3:1 x && Dw"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto request = parse_request(c.command);
    REQUIRE_MESSAGE(request.has_value(), request.error().message);
    const std::string canonical = format_request(*request);
    CHECK(canonical == c.canonical);
    const auto again = parse_request(canonical);
    REQUIRE_MESSAGE(again.has_value(), again.error().message);
    CHECK(*again == *request);
  }
}

TEST_CASE("ports are told as the bind address allows") {
  CHECK(format_port({30000, "", false}) == "30000");
  CHECK(format_port({30000, "", true}) == "30000");
  CHECK(format_port({30000, "127.0.0.1", false}) == "30000 127.0.0.1");
  CHECK(format_port({30000, "::1", true}) == "30000 ::1 6");
  CHECK(format_port({30000, "media.example", true}) == "30000 media.example 6");
  CHECK(format_error(50) == "E50\n");
}

TEST_CASE("results of sub-commands behind a reply") {
  const SubResult ok{SubResult::Kind::succeeded, {}};
  const SubResult failed{SubResult::Kind::failed, {}};
  const auto text = [](std::string value) { return SubResult{SubResult::Kind::text, value}; };
  struct Case {
    std::string description;
    std::string main;
    std::vector<SubResult> results;
    size_t bytes_max;
    std::string expected;
  };
  const std::string address = "30022 127.0.0.1";
  const std::vector<Case> cases = {
      {"none", address, {}, 220, "30022 127.0.0.1\n"},
      {"successes are not shown", address, {ok, ok}, 220, "30022 127.0.0.1\n"},
      {"unless something follows",
       address,
       {ok, text("actpass")},
       220,
       "30022 127.0.0.1 && 0 && actpass\n"},
      {"trailing ones are left out",
       address,
       {ok, text("actpass"), ok},
       220,
       "30022 127.0.0.1 && 0 && actpass\n"},
      {"a failure ends the list",
       address,
       {text("30024 127.0.0.1"), ok, ok, ok, failed},
       220,
       "30022 127.0.0.1 && 30024 127.0.0.1 && 0 && 0 && 0 && -1\n"},
      {"what fits exactly is shown", "1", {text("abcd")}, 10, "1 && abcd\n"},
      {"what does not fit is marked", "1", {text("abcde")}, 10, "1 && -1\n"},
      {"nothing is shown behind the mark", "1", {text("abcde"), text("a")}, 10, "1 && -1\n"},
      {"room is kept for the mark", "1", {text("a"), text("bcd")}, 13, "1 && a && -1\n"},
      {"a main text as long as allowed stays whole", "12345", {text("a")}, 6, "12345\n"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(format_reply(c.main, c.results, c.bytes_max) == c.expected);
  }
  const std::vector<SubResult> many(15, text("30024 2001:db8:1:2:3:4:5:6 6"));
  CHECK(format_reply(address, many).size() <= kShortReplyBytesMax);
}

TEST_CASE("replies as tools read them") {
  const SubResult ok{SubResult::Kind::succeeded, {}};
  const SubResult failed{SubResult::Kind::failed, {}};
  struct Case {
    std::string description, text;
    std::optional<int> error_code;
    std::optional<uint32_t> number;
    std::string address;
    bool ipv6;
    std::vector<SubResult> results;
  };
  const std::vector<Case> cases = {
      {"a port", "30000\n", {}, 30000, "", false, {}},
      {"a port and an IPv4 address", "30000 192.0.2.1\n", {}, 30000, "192.0.2.1", false, {}},
      {"a port and an IPv6 address", "30000 ::1 6\n", {}, 30000, "::1", true, {}},
      {"a name of an IPv6 address", "30000 media.example 6", {}, 30000, "media.example", true, {}},
      {"an error", "E50\n", 50, {}, "", false, {}},
      {"no error", "Enough", {}, {}, "", false, {}},
      {"a lone E", "E", {}, {}, "", false, {}},
      {"yes", "1\n", {}, 1, "", false, {}},
      {"the version", "20040107\r\n", {}, 20040107, "", false, {}},
      {"nothing, as G without names", "\n", {}, {}, "", false, {}},
      {"results",
       "30000 192.0.2.1 && 0 && a b && -1\n",
       {},
       30000,
       "192.0.2.1",
       false,
       {ok, {SubResult::Kind::text, "a b"}, failed}},
      {"text", "sessions created: 2\nactive sessions: 1\n", {}, {}, "", false, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const Reply reply = parse_reply(c.text);
    CHECK(reply.error_code == c.error_code);
    CHECK(reply.number == c.number);
    CHECK(reply.address == c.address);
    CHECK(reply.ipv6 == c.ipv6);
    CHECK(reply.results == c.results);
  }
  CHECK(parse_reply("60 0 0 0 0\n").main == "60 0 0 0 0");
}

}  // namespace ctlproto
