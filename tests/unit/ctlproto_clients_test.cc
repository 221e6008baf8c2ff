// Commands as Kamailio 5.6/6.1, OpenSIPS 3.6 and Sippy B2BUA put them on the wire.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "ctlproto/parse.h"

using namespace std::string_literals;

namespace ctlproto {
namespace {

MediaAddress endpoint(const std::string& address, uint16_t port) {
  return {MediaAddress::Kind::endpoint, address, address.find(':') != std::string::npos, port};
}

struct Case {
  std::string description;
  std::string command;
  Request expected;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CAPTURE(c.command);
    const auto request = parse_request(c.command);
    REQUIRE_MESSAGE(request.has_value(), request.error().message);
    CHECK(*request == c.expected);
  }
}

Update update(MediaModifiers modifiers, std::string call_id, MediaAddress media,
              std::string from_tag, std::optional<std::string> to_tag = std::nullopt,
              std::optional<Notification> notification = std::nullopt) {
  return {std::move(modifiers),
          std::move(call_id),
          std::move(media),
          std::move(from_tag),
          std::move(to_tag),
          std::move(notification),
          {}};
}

constexpr auto kInternal = Direction::internal;
constexpr auto kExternal = Direction::external;
using Codecs = std::vector<uint8_t>;

MediaModifiers with_codecs(Codecs codecs) {
  MediaModifiers modifiers;
  modifiers.codecs = std::move(codecs);
  return modifiers;
}

const MediaModifiers kAudio = with_codecs({0, 8, 101});

LocalAddress towards(std::string address) {
  return {LocalAddress::Kind::towards, std::move(address)};
}

}  // namespace

TEST_CASE("offers and answers of Kamailio") {
  const MediaAddress caller = endpoint("127.0.0.1", 40000);
  MediaModifiers audio_asymmetric = kAudio;
  audio_asymmetric.symmetry = Symmetry::asymmetric;
  MediaModifiers audio_symmetric = kAudio;
  audio_symmetric.symmetry = Symmetry::symmetric;
  MediaModifiers audio_in_out = kAudio;
  audio_in_out.directions = {kInternal, kExternal};
  MediaModifiers audio_20ms = kAudio;
  audio_20ms.ptime_ms = 20;
  MediaModifiers audio_ipv6 = kAudio;
  audio_ipv6.ipv6 = true;
  MediaModifiers out_in_ipv6 = audio_ipv6;
  out_in_ipv6.directions = {kExternal, kInternal};
  const std::string branch = "br3@alice.example;z9hG4bK139574f0";
  check({
      {"an INVITE", "Uc0,8,101 basic@alice.example 127.0.0.1 40000 fromA;1",
       update(kAudio, "basic@alice.example", caller, "fromA;1")},
      {"a 200", "Lc0,8,101 basic@alice.example 127.0.0.1 50000 fromA;1 toB;1",
       Lookup{kAudio, "basic@alice.example", endpoint("127.0.0.1", 50000), "fromA;1", "toB;1", {}}},
      {"flag a", "UAc0,8,101 x 127.0.0.1 40000 fromA;1",
       update(audio_asymmetric, "x", caller, "fromA;1")},
      {"flag w", "USc0,8,101 x 127.0.0.1 40000 fromA;1",
       update(audio_symmetric, "x", caller, "fromA;1")},
      {"flags ie", "UIEc0,8,101 x 127.0.0.1 40000 fromA;1",
       update(audio_in_out, "x", caller, "fromA;1")},
      {"flags ie on the answer", "LIEc0,8,101 x 127.0.0.1 40000 fromA;1 toB;1",
       Lookup{audio_in_out, "x", caller, "fromA;1", "toB;1", {}}},
      {"flag z20", "UZ20c0,8,101 x 127.0.0.1 40000 fromA;1",
       update(audio_20ms, "x", caller, "fromA;1")},
      {"IPv6 media", "U6c0,8,101 v6@a 2001:db8::5 40000 fromA;1",
       update(audio_ipv6, "v6@a", endpoint("2001:db8::5", 40000), "fromA;1")},
      {"flags rx", "UEI6c0,8,101 x@a 2001:db8::5 40000 fromA;1",
       update(out_in_ipv6, "x@a", endpoint("2001:db8::5", 40000), "fromA;1")},
      {"flag b", "Uc0,8,101 extra@a;br1 127.0.0.1 40000 fromA;1",
       update(kAudio, "extra@a;br1", caller, "fromA;1")},
      {"flag 3", "Uc0,8,101 " + branch + " 127.0.0.1 40000 fromA;1",
       update(kAudio, branch, caller, "fromA;1")},
      {"T.38", "U t38@a 10.1.1.5 40000 fromA;1",
       update({}, "t38@a", endpoint("10.1.1.5", 40000), "fromA;1")},
      {"a re-INVITE of the callee", "Uc0,8,101 c 127.0.0.1 50000 toB;1 fromA;1",
       update(kAudio, "c", endpoint("127.0.0.1", 50000), "toB;1", "fromA;1")},
      {"hold", "Uc0,8,101 c 0.0.0.0 40000 fromA;1",
       update(kAudio, "c", {MediaAddress::Kind::hold, "0.0.0.0", false, 40000}, "fromA;1")},
      {"a rejected media line", "Lc96,97 av@alice.example 127.0.0.1 0 fromA;2 toB;2",
       Lookup{with_codecs({96, 97}),
              "av@alice.example",
              endpoint("127.0.0.1", 0),
              "fromA;2",
              "toB;2",
              {}}},
  });
}

TEST_CASE("what Kamailio gets wrong is understood") {
  MediaModifiers video_20ms = with_codecs({96, 97});
  video_20ms.ptime_ms = 20;
  MediaModifiers fax_20ms;
  fax_20ms.ptime_ms = 20;
  MediaModifiers video_ipv6 = with_codecs({96, 97});
  video_ipv6.ipv6 = true;
  const MediaAddress ipv4 = endpoint("10.1.1.5", 40002);
  check({
      {"NUL bytes behind Z20", "UZ20\0\0\0c96,97 x 10.1.1.5 40002 fromA;2"s,
       update(video_20ms, "x", ipv4, "fromA;2")},
      {"stale bytes behind Z20", "UZ20\xf0\0\0c96,97 x 10.1.1.5 40002 fromA;2"s,
       update(video_20ms, "x", ipv4, "fromA;2")},
      {"NUL bytes and no codecs", "UZ20\0\0\0 x 10.1.1.5 40002 fromA;2"s,
       update(fax_20ms, "x", ipv4, "fromA;2")},
      {"the same on L", "LZ20\0\0\0c96,97 x 10.1.1.5 40002 fromA;2 toB;2"s,
       Lookup{video_20ms, "x", ipv4, "fromA;2", "toB;2", {}}},
      {"one 6 a line", "U66c96,97 v6@a 2001:db8::5 40002 fromA;2",
       update(video_ipv6, "v6@a", endpoint("2001:db8::5", 40002), "fromA;2")},
      {"6 sticks to an IPv4 line: the literal decides", "U66c96,97 x 10.1.1.5 40002 fromA;2",
       update(with_codecs({96, 97}), "x", ipv4, "fromA;2")},
      {"6 with IPv4 hold", "U6c0 x 0.0.0.0 40002 fromA;2",
       update(with_codecs({0}), "x", {MediaAddress::Kind::hold, "0.0.0.0", false, 40002},
              "fromA;2")},
      {"MSRP: an empty codec list", "Uc msrp@a 10.1.1.5 2855 fromA;2",
       update(with_codecs({}), "msrp@a", endpoint("10.1.1.5", 2855), "fromA;2")},
  });
}

TEST_CASE("notification in the forms clients write it") {
  const MediaAddress media = endpoint("127.0.0.1", 40000);
  const std::string socket = "tcp:127.0.0.1:18000";
  check({
      {"socket and tag (OpenSIPS)", "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 " + socket + " Te08.a48",
       update(kAudio, "cid", media, "fromA;1", std::nullopt, Notification{socket, "Te08.a48"})},
      {"to-tag, socket and tag",
       "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 toB;1 " + socket + " tag%20x",
       update(kAudio, "cid", media, "fromA;1", "toB;1", Notification{socket, "tag x"})},
      {"Kamailio 5.8 and later glues the tag to the socket",
       "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 " + socket + ";tag%20x",
       update(kAudio, "cid", media, "fromA;1", std::nullopt, Notification{socket, "tag x"})},
      {"Kamailio 5.7 and before sends no tag: the call-id stands in",
       "Uc0,8,101 c%20id 127.0.0.1 40000 fromA;1 toB;1 " + socket,
       update(kAudio, "c%20id", media, "fromA;1", "toB;1", Notification{socket, "c%20id"})},
      {"a to-tag and a glued socket",
       "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 toB;1 " + socket + ";t",
       update(kAudio, "cid", media, "fromA;1", "toB;1", Notification{socket, "t"})},
      {"a socket alone", "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 unix:/run/notify.sock",
       update(kAudio, "cid", media, "fromA;1", std::nullopt,
              Notification{"unix:/run/notify.sock", "cid"})},
      {"an XML-RPC address",
       "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 xmlrpc:http://192.0.2.1:80/RPC2",
       update(kAudio, "cid", media, "fromA;1", std::nullopt,
              Notification{"xmlrpc:http://192.0.2.1:80/RPC2", "cid"})},
      {"a JSON-RPC address behind the to-tag",
       "Uc0,8,101 cid 127.0.0.1 40000 fromA;1 toB;1 jsonrpc:http://192.0.2.1:80/RPC",
       update(kAudio, "cid", media, "fromA;1", "toB;1",
              Notification{"jsonrpc:http://192.0.2.1:80/RPC", "cid"})},
      {"a path (Sippy)", "U cid 127.0.0.1 40000 FT /var/run/b2bua.sock r%207%201",
       update({}, "cid", media, "FT", std::nullopt, Notification{"/var/run/b2bua.sock", "r 7 1"})},
      {"a socket name without a prefix counts by its place",
       "U cid 127.0.0.1 40000 FT 127.0.0.1:18001 Te08",
       update({}, "cid", media, "FT", std::nullopt, Notification{"127.0.0.1:18001", "Te08"})},
      {"six tokens are a to-tag otherwise", "U cid 127.0.0.1 40000 fromA;1 toB;1",
       update({}, "cid", media, "fromA;1", "toB;1")},
  });
}

TEST_CASE("local addresses behind l and r") {
  struct Letters {
    std::string description, letters;
    LocalAddress expected;
    std::optional<Codecs> codecs;
  };
  using Kind = LocalAddress::Kind;
  const std::vector<Letters> cases = {
      {"r and IPv4", "R192.0.2.9", towards("192.0.2.9"), std::nullopt},
      {"r and IPv6 in brackets", "r[2001:db8::1]", towards("2001:db8::1"), std::nullopt},
      {"l and IPv4, then codecs", "L10.9.9.9c0,8", {Kind::address, "10.9.9.9"}, Codecs{0, 8}},
      {"l and IPv6", "l[::1]", {Kind::address, "::1"}, std::nullopt},
      {"l and a label", "l{DC-1}", {Kind::label, "DC-1"}, std::nullopt},
      {"a label keeps its case", "Sl{Lan}c0", {Kind::label, "Lan"}, Codecs{0}},
      {"the last one wins", "l{a}r192.0.2.9", towards("192.0.2.9"), std::nullopt},
      {"OpenSIPS: IPv6 without brackets", "R2001:db8::1", towards("2001:db8::1"), std::nullopt},
      {"... and a codec list", "R2001:db8::1c0,8,101", towards("2001:db8::1"), Codecs{0, 8, 101}},
      {"... and a list of one", "R2001:db8::1c8", towards("2001:db8::1"), Codecs{8}},
      {"... that ends in what looks like one", "R2001:db8::1c0c8,0", towards("2001:db8::1c0"),
       Codecs{8, 0}},
      {"... with a c inside", "R2001:db8:c0::1c0,8", towards("2001:db8:c0::1"), Codecs{0, 8}},
      {"... where only the whole run is an address", "R2001:db8:1:2:3:4:5:c0",
       towards("2001:db8:1:2:3:4:5:c0"), std::nullopt},
  };
  for (const Letters& c : cases) {
    CAPTURE(c.description);
    const auto request = parse_request("U" + c.letters + " cid 192.0.2.1 4000 ft");
    REQUIRE_MESSAGE(request.has_value(), request.error().message);
    const MediaModifiers& modifiers = std::get<Update>(*request).modifiers;
    CHECK(modifiers.local_address == c.expected);
    CHECK(modifiers.codecs == c.codecs);
  }
}

TEST_CASE("offers of OpenSIPS and Sippy") {
  const MediaAddress caller = endpoint("10.1.1.5", 40000);
  MediaModifiers sippy;
  sippy.local_address = towards("192.168.7.9");
  MediaModifiers sippy_ipv6 = sippy;
  sippy_ipv6.ipv6 = true;
  MediaModifiers new_port;
  new_port.new_port = true;
  Update dtmf = update(kAudio, "cid", caller, "fromA;1", std::nullopt,
                       Notification{"tcp:127.0.0.1:18001", "I"});
  dtmf.subcommands = {SubModule{3, 1, {"Dd431.7d636bf7", "96"}}};
  Update webrtc = update({}, "basic@sip-0", caller, "FT");
  webrtc.subcommands = {SubModule{4, 1, {"A", "sha-256", "AA:BB", "1234"}},
                        SubModule{5, 1, {"A", "ufrag", "pwd"}}};
  const Notification notification{"/var/run/b2bua.sock", "r 7"};
  check({
      {"OpenSIPS wants DTMF",
       "Uc0,8,101 cid 10.1.1.5 40000 fromA;1 tcp:127.0.0.1:18001 I && M3:1 Dd431.7d636bf7 96",
       dtmf},
      {"OpenSIPS looks up with a placeholder tag", "Lc0,8,101 cid 10.1.1.5 40000 dummy;1 fromA;1",
       Lookup{kAudio, "cid", caller, "dummy;1", "fromA;1", {}}},
      {"a Sippy offer", "UR192.168.7.9 basic@sip-0 10.1.1.5 40000 FT /var/run/b2bua.sock r%207",
       update(sippy, "basic@sip-0", caller, "FT", std::nullopt, notification)},
      {"a Sippy re-INVITE",
       "UR192.168.7.9 basic@sip-0 10.1.1.5 40000 FT TT /var/run/b2bua.sock r%207",
       update(sippy, "basic@sip-0", caller, "FT", "TT", notification)},
      {"Sippy and IPv6", "U6R192.168.7.9 v6@sip-0 2001:db8::5 40000 FT",
       update(sippy_ipv6, "v6@sip-0", endpoint("2001:db8::5", 40000), "FT")},
      {"Sippy asks for a new port", "UN cid-0 10.1.1.5 40000 tt ft",
       update(new_port, "cid-0", caller, "tt", "ft")},
      {"a WebRTC leg of Sippy",
       "U basic@sip-0 10.1.1.5 40000 FT && M4:1 A sha-256 AA:BB 1234 && M5:1 A ufrag pwd", webrtc},
  });
}

TEST_CASE("commands that are not offers") {
  check({
      {"Kamailio's BYE", "D basic@alice.example fromA toB",
       Delete{false, "basic@alice.example", "fromA", "toB"}},
      {"Kamailio's CANCEL", "D cid fromA", Delete{false, "cid", "fromA", std::nullopt}},
      {"OpenSIPS rtp_relay leaves the from-tag empty", "D cid  toB",
       Delete{false, "cid", "", "toB"}},
      {"... also with a line end", "D cid  toB\n", Delete{false, "cid", "", "toB"}},
      {"three blanks mean nothing", "D cid   ft", Delete{false, "cid", "ft", std::nullopt}},
      {"two blanks elsewhere mean nothing", "D  cid ft", Delete{false, "cid", "ft", std::nullopt}},
      {"two blanks and both tags mean nothing", "D cid  ft tt", Delete{false, "cid", "ft", "tt"}},
      {"a weak delete", "dW cid ft", Delete{true, "cid", "ft", std::nullopt}},
      {"play until stopped", "P-1 cid /tmp/prompt session fromA;1 toB;1",
       Play{-1, "cid", "/tmp/prompt", std::nullopt, "fromA;1", "toB;1"}},
      {"play from a list", "P3 basic@sip-0 /tmp/prompt 0,8,101 FT TT",
       Play{3, "basic@sip-0", "/tmp/prompt", "0,8,101", "FT", "TT"}},
      {"play once", "P cid p 0 ft", Play{1, "cid", "p", "0", "ft", std::nullopt}},
      {"stop playing", "S cid fromA;1 toB;1", StopPlay{"cid", "fromA;1", "toB;1"}},
      {"record", "R cid fromA toB", Record{false, "cid", "fromA", "toB"}},
      {"record both in one", "Rs cid fromA", Record{true, "cid", "fromA", std::nullopt}},
      {"copy", "C cid udp:127.0.0.1:19000 fromA;1 toB;1",
       Copy{false, false, "cid", "udp:127.0.0.1:19000", "fromA;1", "toB;1"}},
      {"copy with all letters", "Csp cid name.a FT", Copy{true, true, "cid", "name.a", "FT", {}}},
      {"stop recording", "N cid fromA;1 toB;1", StopRecord{false, "cid", "fromA;1", "toB;1"}},
      {"stop recording both", "Na cid fromA", StopRecord{true, "cid", "fromA", std::nullopt}},
      {"Kamailio's $rtpstat", "Q cid fromA;1 toB", Query{false, "cid", "fromA;1", "toB", {}, {}}},
      {"OpenSIPS asks by name", "Qv cid fromA;1 toB;1 rtpa_nsent ttl",
       Query{true, "cid", "fromA;1", "toB;1", {"rtpa_nsent", "ttl"}, {}}},
      {"ask and delete", "Q s3 ft tt && D", Query{false, "s3", "ft", "tt", {}, {SubDelete{}}}},
      {"version", "V", Version{}},
      {"feature", "VF 20050322", Feature{"20050322"}},
      {"feature in lower case", "vf x", Feature{"x"}},
      {"Sippy's heart-beat", "Ib\n", Info{true, false}},
      {"info with load", "IL", Info{false, true}},
      {"counters", "Gv nsess_created npkts_rcvd", Stats{true, {"nsess_created", "npkts_rcvd"}}},
      {"no counters", "G", Stats{}},
      {"delete all", "X", DeleteAll{}},
      {"extension: counters", "J stats", Json{Json::What::stats, ""}},
      {"extension: sessions", "j sessions", Json{Json::What::sessions, ""}},
      {"extension: sessions from a cursor", "J sessions 17", Json{Json::What::sessions, "17"}},
      {"extension: a session", "J session cid", Json{Json::What::session, "cid"}},
      {"extension: voice sessions", "J voices", Json{Json::What::voices, ""}},
      {"extension: what voice sessions told", "J events", Json{Json::What::events, ""}},
      {"extension: the same from a number", "J events 7", Json{Json::What::events, "7"}},
      {"extension: a try of a profile", "J voicetest bot", Json{Json::What::voicetest, "bot"}},
  });
}

TEST_CASE("sub-commands in their order") {
  Update request = update({}, "s3", endpoint("127.0.0.1", 4000), "ft", "tt");
  MediaModifiers weak;
  weak.weak = true;
  request.subcommands = {SubLookup{weak, endpoint("127.0.0.1", 5000)},
                         SubSet{SubSet::Name::ttl_s, 9, false},
                         SubSet{SubSet::Name::tos, 300, true},
                         SubFork{"other", "a", "b"},
                         SubModule{9, 2, {}},
                         SubDelete{true}};
  check({{"all of them",
          "U s3 127.0.0.1 4000 ft tt && Lw 127.0.0.1 5000 && S ttl=9 && sr tos=300"
          " && C other a b && M9:2 && Dw",
          request}});
}

TEST_CASE("media addresses as rtpproxy reads them") {
  struct Address {
    std::string description, command;
    MediaAddress expected;
  };
  const MediaAddress unusable;
  const auto hold = [](std::string address, bool is_ipv6) {
    return MediaAddress{MediaAddress::Kind::hold, std::move(address), is_ipv6, 4000};
  };
  const std::vector<Address> cases = {
      {"too short for an address", "U c bogus 4000 ft", unusable},
      {"a short IPv4 form", "U c 1.2.3 4000 ft", unusable},
      {"too long for one", "U c 2001:db8:1:2::beef 4000 ft", unusable},
      {"the port is not looked at then", "U c a-long-host-name.example nonsense ft", unusable},
      {"one character with 6", "U6 c : 4000 ft", unusable},
      {"leading zeros are octal, as in the C library", "U c 01.02.03.010 4000 ft",
       endpoint("1.2.3.8", 4000)},
      {"a sign before the port", "U c 192.0.2.1 +5 ft", endpoint("192.0.2.1", 5)},
      {"a port above 65535 wraps", "U c 192.0.2.1 69536 ft", endpoint("192.0.2.1", 4000)},
      {"port 0", "U c 192.0.2.1 0 ft", endpoint("192.0.2.1", 0)},
      {"IPv6 in a long form", "U6 c 2001:0DB8:0::0005 4000 ft", endpoint("2001:db8::5", 4000)},
      {"IPv4 hold", "U c 0.0.0.0 4000 ft", hold("0.0.0.0", false)},
      {"IPv6 hold", "U6 c :: 4000 ft", hold("::", true)},
      {"IPv6 hold, long form", "U6 c 0:0:0:0:0:0:0:0 4000 ft", hold("::", true)},
  };
  for (const Address& c : cases) {
    CAPTURE(c.description);
    const auto request = parse_request(c.command);
    REQUIRE_MESSAGE(request.has_value(), request.error().message);
    const Update& parsed = std::get<Update>(*request);
    CHECK(parsed.media == c.expected);
    if (c.expected.kind != MediaAddress::Kind::unusable) {
      CHECK(parsed.modifiers.ipv6 == c.expected.is_ipv6);
    }
  }
}

TEST_CASE("payload types no packet can carry are left out") {
  const auto request = parse_request("Uc0,128,8,99999999999,,101 c 192.0.2.1 4000 ft");
  REQUIRE(request);
  CHECK(std::get<Update>(*request).modifiers.codecs == Codecs{0, 8, 101});
}

}  // namespace ctlproto
