// Exchanges with rtpproxy, command by command, through the dispatcher.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/exchange.h"
#include "tests/support/rtp_packet.h"

namespace relay {
TEST_CASE("sessions are matched by call-id and tags as rtpproxy does") {
  RelayFixture relay;
  run(relay, {
                 {"create", "U cid1 192.0.2.1 4000 ft1", "30000"},
                 {"refresh", "U cid1 192.0.2.1 4000 ft1", "30000"},
                 {"second side", "L cid1 192.0.2.2 4000 ft1 tt1", "30002"},
                 {"L without to-tag", "L cid1 192.0.2.2 4000 ft1", "30002"},
                 {"re-INVITE by the callee", "U cid1 192.0.2.2 4000 tt1 ft1", "30002"},
                 {"and its answer", "L cid1 192.0.2.1 4000 tt1 ft1", "30000"},
                 {"from-tag unknown, to-tag fits", "L cid1 192.0.2.2 4000 zz ft1", "30000"},
                 {"unknown tag: a new session", "U cid1 192.0.2.2 4000 tt1", "30004"},
                 {"unknown tag cannot be looked up", "L cid1 192.0.2.2 4000 zz", "0"},
                 {"first medium", "U cid2 192.0.2.1 4000 ft1;1", "30006"},
                 {"second medium", "U cid2 192.0.2.1 4002 ft1;2", "30008"},
                 {"answer of the first", "L cid2 192.0.2.2 4000 ft1;1 tt1;1", "30010"},
                 {"second medium, reversed", "L cid2 192.0.2.2 4000 tt1;2 ft1;2", "30008"},
                 {"number taken from the from-tag", "L cid2 192.0.2.2 4000 tt1;1 ft1", "30006"},
                 {"no number at all", "L cid2 192.0.2.2 4000 tt1 ft1", "0"},
                 {"D without number ends both media", "D cid2 ft1", "0"},
                 {"nothing is left", "D cid2 ft1", "E50"},
             });
}

TEST_CASE("a reply names the address unless it is a wildcard without advertised address") {
  Config config = sequential_config();
  config.startup.local_addresses.push_back(
      {"pub", *IpAddress::parse("192.0.2.7"), "relay.example"});
  config.startup.local_addresses.push_back({"six", *IpAddress::parse("2001:db8::7"), ""});
  RelayFixture relay(config);
  relay.sockets.addresses = {"192.0.2.7", "2001:db8::7", "192.0.2.8"};
  relay.sockets.routes = {{"198.51.100.1", "192.0.2.8"}, {"2001:db8::1", "2001:db8::7"}};
  run(relay,
      {
          {"wildcard", "U c1 198.51.100.9 4000 ft", "30000"},
          {"by address", "Ul127.0.0.1 c2 198.51.100.9 4000 ft", "30002 127.0.0.1"},
          {"by label, advertised", "Ul{pub} c3 198.51.100.9 4000 ft", "30004 relay.example"},
          {"the same by address", "Ul192.0.2.7 c4 198.51.100.9 4000 ft", "30006 relay.example"},
          {"the answer stays there", "L c4 198.51.100.8 4000 ft tt", "30008 relay.example"},
          {"IPv6 has its own ports", "Ul[2001:db8::7] c5 198.51.100.9 4000 ft",
           "30000 2001:db8::7 6"},
          {"family by modifier and literal", "U6 c6 2001:db8::9 4000 ft", "30002 2001:db8::7 6"},
          {"towards", "UR198.51.100.1 c7 198.51.100.9 4000 ft", "30010 192.0.2.8"},
          {"towards, IPv6", "UR[2001:db8::1] c8 198.51.100.9 4000 ft", "30004 2001:db8::7 6"},
          {"no route", "UR198.51.100.2 c9 198.51.100.9 4000 ft", "E32"},
          {"not a local address", "Ul192.0.2.99 c9 198.51.100.9 4000 ft", "E72"},
          {"not an address", "Ul999.9.9.9 c9 198.51.100.9 4000 ft", "E31"},
          {"nor this", "Ul[1:2:3:4:5] c9 198.51.100.9 4000 ft", "E31"},
          {"unknown label", "Ul{foo} c9 198.51.100.9 4000 ft", "E31"},
          {"towards no address", "Ur[1:2:3:4:5] c9 198.51.100.9 4000 ft", "E32"},
          {"nothing was made", "L c9 198.51.100.9 4000 ft", "0"},
          {"another address for the answer", "Ll127.0.0.1 c1 198.51.100.8 4000 ft tt",
           "30012 127.0.0.1"},
          {"an open leg does not move", "L c1 198.51.100.8 4000 ft tt", "30012 127.0.0.1"},
          {"unless asked to", "Lnl{pub} c1 198.51.100.8 4000 ft tt", "30014 relay.example"},
      });
}

TEST_CASE("without an IPv6 address IPv6 is refused, and asking for one does not add it") {
  RelayFixture relay;
  relay.sockets.routes = {{"::1", "::1"}};
  run(relay,
      {
          {"none configured", "U6 c1 ::1 4000 ft", "E36"},
          {"by route", "Ur[::1] c2 192.0.2.1 4000 ft", "30000 ::1 6"},
          {"still none configured", "U6 c3 ::1 4000 ft", "E36"},
          {"an IPv4 literal is IPv4 whatever the letter", "U6 c4 192.0.2.1 4000 ft", "30000"},
      });
}

TEST_CASE("the e and i letters choose between two networks") {
  struct Case {
    std::string description;
    std::string letters;
    std::string update, lookup;  // addresses of the replies
  };
  const std::vector<Case> cases = {
      {"none", "", "127.0.0.1", "127.0.0.1"},
      {"i", "i", "127.0.0.1", "127.0.0.1"},
      {"ii", "ii", "127.0.0.1", "127.0.0.1"},
      {"the first letter is the side of the answer", "e", "127.0.0.1", "127.0.0.2"},
      {"from outside to inside", "ei", "127.0.0.1", "127.0.0.2"},
      {"from inside to outside", "ie", "127.0.0.2", "127.0.0.1"},
      {"ee", "ee", "127.0.0.2", "127.0.0.2"},
      {"upper case", "IE", "127.0.0.2", "127.0.0.1"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Config config = sequential_config("127.0.0.1");
    config.startup.bridging = true;
    config.startup.local_addresses.push_back({"", *IpAddress::parse("127.0.0.2"), ""});
    RelayFixture relay(config);
    CHECK(relay.ask("U" + c.letters + " cid 192.0.2.1 4000 ft") == "30000 " + c.update);
    // Letters on the answer change nothing any more.
    CHECK(relay.ask("Lie cid 192.0.2.2 4000 ft tt") == "30002 " + c.lookup);
    CHECK(relay.ask("Uee cid 192.0.2.1 4000 ft") == "30000 " + c.update);
    CHECK(relay.ask("Unee cid 192.0.2.1 4000 ft") == "30004 127.0.0.2");
  }
}

TEST_CASE("IPv4 and IPv6 are bridged") {
  Config config = sequential_config("::1");
  config.startup.bridging = true;
  config.startup.local_addresses.push_back({"", *IpAddress::parse("127.0.0.1"), ""});
  RelayFixture relay(config);
  run(relay, {
                 {"IPv6 caller", "UIE6c0,8,101 x@a 2001:db8::5 4000 fromA;1", "30000 127.0.0.1"},
                 {"IPv4 callee", "LIEc0,8,101 x@a 192.0.2.9 5000 fromA;1 toB;1", "30000 ::1 6"},
             });
}

TEST_CASE("Kamailio's spellings of a notification do not cost the call when there is no -n") {
  RelayFixture relay;
  run(relay, {
                 {"5.8 and later", "U loose1 192.0.2.1 4000 ft tcp:192.0.2.3:3;tag", "30000"},
                 {"5.7 and before", "U loose2 192.0.2.1 4000 ft tt tcp:192.0.2.3:3", "30002"},
             });
}

TEST_CASE("modifiers and arguments that cannot be served are refused with their number") {
  RelayFixture relay;
  run(relay, {
                 {"e without a second network", "Uei c 192.0.2.1 4000 ft", "E11"},
                 {"i without a second network", "Uie c 192.0.2.1 4000 ft", "E12"},
                 {"unknown letter", "Ugarbage c 192.0.2.1 4000 ft", "E35"},
                 {"empty ptime", "Uz0 c 192.0.2.1 4000 ft", "E13"},
                 {"not an address", "U c 300.1.1.1 4000 ft", "E37"},
                 {"not a port", "U c 192.0.2.1 http ft", "E37"},
                 {"multicast", "U c 224.0.0.1 4000 ft", "E37"},
                 {"multicast, IPv6", "U6l127.0.0.1 c ff02::1 4000 ft", "E37"},
                 {"broadcast", "U c 255.255.255.255 4000 ft", "E37"},
                 {"notification without -n", "U c 192.0.2.1 4000 ft tt tcp:192.0.2.3:3 tag", "E75"},
                 {"no session has come of it", "L c 192.0.2.1 4000 ft", "0"},
                 {"garbage too long for an address is ignored",
                  "U c somewhere-quite-far-away.example garbage ft", "30000"},
                 {"port 0 is no error", "U c 192.0.2.1 0 ft", "30000"},
                 {"hold neither", "L c 0.0.0.0 0 ft tt", "30002"},
                 {"new port", "Un c 192.0.2.1 4000 ft", "30004"},
                 {"another new port", "Un c 192.0.2.1 4000 ft", "30006"},
             });
}

TEST_CASE("the relay's own media ports are refused as a remote address") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  run(relay, {
                 {"a port that is not open", "U c 127.0.0.1 30000 ft", "30000 127.0.0.1"},
                 {"now it is", "U c2 127.0.0.1 30000 ft", "E37"},
                 {"its RTCP port", "L c 127.0.0.1 30001 ft tt", "E37"},
                 {"another host's", "L c 192.0.2.1 30000 ft tt", "30002 127.0.0.1"},
                 {"closed again", "D c ft", "0"},
                 {"and free to be named", "U c2 127.0.0.1 30000 ft", "30004 127.0.0.1"},
             });
}

TEST_CASE("notification arguments are kept when a target is configured") {
  Config config = sequential_config();
  config.startup.notify_targets = {
      {NotifyKind::tcp, "tcp:192.0.2.3:3", Endpoint{*IpAddress::parse("192.0.2.3"), 3}, "", ""}};
  RelayFixture relay(config);
  CHECK(relay.ask("U c 192.0.2.1 4000 ft tt tcp:192.0.2.3:3 tag%201") == "30000");
  const Session& session = *relay.sessions.find("c", "ft", std::nullopt)->session;
  REQUIRE(session.notification);
  CHECK(session.notification->socket == "tcp:192.0.2.3:3");
  CHECK(session.notification->tag == "tag 1");
  CHECK(relay.ask("L c 192.0.2.2 4000 ft tt") == "30002");
  CHECK(session.notification);
  CHECK(relay.ask("U c 192.0.2.1 4000 ft tt") == "30000");
  CHECK_FALSE(session.notification);
}

TEST_CASE("sub-commands run in order and stop at the first failure") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  run(relay,
      {
          {"quiet success", "U s1 127.0.0.1 4000 ft && S ttl=5", "30000 127.0.0.1"},
          {"zero", "U s1 127.0.0.1 4000 ft && S ttl=0", "E3"},
          {"shape", "U s1 127.0.0.1 4000 ft && Sxx ttl=5", "E3"},
          {"modules are not loaded", "U s2 127.0.0.1 4000 ft && M4:1 S", "E3"},
          {"and no session is made", "Q s2 ft", "E50"},
          {"delete", "U s3 127.0.0.1 4000 ft && D", "30002 127.0.0.1"},
          {"it is gone", "Q s3 ft", "E50"},
          {"both legs at once", "U s3 127.0.0.1 4000 ft tt && L 127.0.0.1 5000",
           "30004 127.0.0.1 && 30006 127.0.0.1"},
          {"skipped results show once one speaks",
           "U s4 127.0.0.1 4000 ft tt && L 127.0.0.1 5000 && S ttl=9 && Sr tos=3 && D && D",
           "30008 127.0.0.1 && 30010 127.0.0.1 && 0 && 0 && 0 && -1"},
          {"no to-tag", "U s5 127.0.0.1 4000 ft && L 127.0.0.1 5000", "E3"},
          {"bad port", "U s5 127.0.0.1 4000 ft tt && L 127.0.0.1 notaport", "E3"},
          {"fork of nothing", "U s5 127.0.0.1 4000 ft tt && C nosuch a b", "30012 127.0.0.1 && -1"},
          {"Q and delete", "Q s3 ft tt && D", "60 0 0 0 0"},
          {"Q reports before what follows", "U s3 127.0.0.1 4000 ft && S ttl=10",
           "30014 127.0.0.1"},
          {"twice", "Qv s3 ft tt ttl && D && D", "ttl=10 && 0 && -1"},
          {"L does not belong there", "Q s5 ft tt && L 192.0.2.1 3", "E3"},
          {"an unknown session has none", "Lw unknown 127.0.0.1 4000 f && S ttl=3", "0"},
      });
}

TEST_CASE("S sets the TOS of one leg, open or not, and the traffic class on IPv6") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  const auto tos_of = [&](LegId leg) {
    const Session& session = *relay.sessions.find("c", "ft", std::nullopt)->session;
    return relay.sockets.tos[session.leg(leg).ports->rtp_socket()];
  };
  // U describes the caller: `S` is the caller's leg, which is not open so far.
  CHECK(relay.ask("U c 192.0.2.1 4000 ft && S tos=96 && Sr tos=40") == "30000 127.0.0.1");
  CHECK(tos_of(LegId::callee) == 40);
  CHECK(relay.ask("L c 192.0.2.2 4000 ft tt") == "30002 127.0.0.1");
  CHECK(tos_of(LegId::caller) == 96);
  CHECK(relay.ask("Ul[::1] d 192.0.2.1 4000 ft && Sr tos=255") == "30000 ::1 6");
  const Session& ipv6 = *relay.sessions.find("d", "ft", std::nullopt)->session;
  CHECK(relay.sockets.tos[ipv6.leg(LegId::callee).ports->rtp_socket()] == 255);
  CHECK(relay.ask("U c 192.0.2.1 4000 ft && S tos=256") == "30000 127.0.0.1 && -1");
}

TEST_CASE("weak references keep a session, mapped as rtpproxy maps them") {
  RelayFixture relay;
  run(relay, {
                 {"weak", "Uw c1 192.0.2.1 4000 ft", "30000"},
                 {"clears the other leg's, so it stays", "Dw c1 ft", "0"},
                 {"still there", "L c1 192.0.2.2 4000 ft", "30002"},
                 {"through the to-tag it goes", "Dw c1 x ft", "0"},
                 {"gone", "L c1 192.0.2.2 4000 ft", "0"},
                 {"strong and weak", "U c2 192.0.2.1 4000 ft", "30004"},
                 {"L w marks the caller's leg", "Lw c2 192.0.2.2 4000 ft tt", "30006"},
                 {"D takes the strong one", "D c2 ft", "0"},
                 {"it stays", "Q c2 ft", "60 0 0 0 0"},
                 {"Dw takes the weak one", "Dw c2 ft", "0"},
                 {"gone", "Q c2 ft", "E50"},
             });
}

TEST_CASE("D ends what its tags fit, X everything") {
  RelayFixture relay;
  run(relay, {
                 {"three media", "U c 192.0.2.1 4000 ft;1", "30000"},
                 {"", "U c 192.0.2.1 4002 ft;2", "30002"},
                 {"", "U c 192.0.2.1 4004 ft;3", "30004"},
                 {"one medium", "D c ft;2", "0"},
                 {"is gone", "D c ft;2", "E50"},
                 {"the others are not", "Q c ft;3", "60 0 0 0 0"},
                 {"a callee's tag alone is unknown", "D c tt", "E50"},
                 {"reversed", "D c tt ft", "0"},
                 {"all gone", "D c ft", "E50"},
                 {"unknown call", "D nosuch ft", "E50"},
                 {"again", "U c 192.0.2.1 4000 ft", "30006"},
                 {"and another", "U d 192.0.2.1 4000 ft", "30008"},
                 {"X", "X", "0"},
                 {"nothing left", "Q d ft", "E50"},
                 {"X of nothing", "X", "0"},
             });
  CHECK(relay.sessions.active() == 0);
  CHECK(relay.sessions.ports().taken() == 0);
}

TEST_CASE("Q counts from the side of the first tag") {
  RelayFixture relay;
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("L c 192.0.2.2 5000 ft tt");
  FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
  const Endpoint caller{*IpAddress::parse("192.0.2.1"), 4000};
  const Endpoint stranger{*IpAddress::parse("203.0.113.9"), 4000};
  for (uint16_t i = 0; i < 3; ++i) {
    relay.clock.advance(std::chrono::milliseconds(20));
    const auto packet = rtp_packet(i);
    relay.plane.deliver(flows, {LegId::caller, Component::rtp, caller, packet});
  }
  const auto foreign = rtp_packet(0, 99);
  relay.plane.deliver(flows, {LegId::caller, Component::rtp, stranger, foreign});
  run(relay,
      {
          {"caller first", "Q c ft tt", "60 3 0 3 0"},
          {"callee first", "Q c tt ft", "60 0 3 3 0"},
          {"verbose", "Qv c ft", "ttl=60 npkts_ina=3 npkts_ino=0 nrelayed=3 ndropped=0"},
          {"names, in the order asked, repeats allowed",
           "Q c ft tt nrelayed ttl rtpa_nsent rtpa_nrcvd rtpa_ndups rtpa_nlost rtpa_perrs ttl",
           "3 60 3 3 0 0 0 60"},
          {"seconds and timestamp units", "Qv c ft tt longest_ipi rtpa_jlast rtpa_jmax rtpa_javg",
           "longest_ipi=0.020000 rtpa_jlast=0.000000 rtpa_jmax=0.000000 rtpa_javg=0.000000"},
          {"unknown name", "Qv c ft tt ttl garbage", "E62"},
          {"unknown session", "Q c xx", "E50"},
          {"eleven names", "Q c ft tt ttl ttl ttl ttl ttl ttl ttl ttl ttl ttl ttl",
           "60 60 60 60 60 60 60 60 60 60 60"},
          {"twelve are too many", "Q c ft tt ttl ttl ttl ttl ttl ttl ttl ttl ttl ttl ttl ttl",
           "E1"},
          {"no prefix for the from-tag", "U m 192.0.2.1 4000 ft;1", "30004"},
          {"unknown without number", "Q m ft", "E50"},
          {"with it", "Q m ft;1 tt", "60 0 0 0 0"},
          {"reversed", "Q m tt;1 ft", "60 0 0 0 0"},
      });
}

TEST_CASE("V and VF say what works") {
  RelayFixture relay;
  run(relay, {
                 {"the base protocol", "V", "20040107"},
                 {"several media", "VF 20050322", "1"},
                 {"codec lists", "VF 20081102", "1"},
                 {"statistics", "VF 20080403", "1"},
                 {"l and r", "VF 20090810", "1"},
                 {"recording and copying", "VF 20071218", "1"},
                 {"the end of a recording", "VF 20200226", "1"},
                 {"copies tell their port", "VF 20250523", "1"},
                 {"sub-commands", "VF 20191015", "1"},
                 {"OpenSIPS's TTL letters", "VF 20170313", "0"},
                 {"no exact match", "VF 020050322", "0"},
                 {"too few words", "VF", "E1"},
             });
}

TEST_CASE("I shows five lines, six with l") {
  RelayFixture relay;
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("U d 192.0.2.1 4000 ft");
  relay.ask("D d ft");
  const std::string five =
      "sessions created: 2\nactive sessions: 1\nactive streams: 2\n"
      "packets received: 0\npackets transmitted: 0";
  CHECK(relay.ask("I") == five);
  CHECK(relay.ask("Ib") == five);
  CHECK(relay.ask("Il") == five + "\naverage load: 0.000000");
}

TEST_CASE("G counts sessions, packets and commands") {
  RelayFixture relay;
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("L c 192.0.2.2 5000 ft tt");
  relay.ask("L nosuch 192.0.2.2 5000 ft tt");
  relay.ask("nonsense");
  relay.dispatcher.count_duplicate();
  FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
  const auto packet = rtp_packet(1);
  const Endpoint caller{*IpAddress::parse("192.0.2.1"), 4000};
  relay.plane.deliver(flows, {LegId::caller, Component::rtp, caller, packet});
  relay.wait_s(1);
  run(relay,
      {
          {"commands; G sees itself received only",
           "G ncmds_rcvd ncmds_rcvd_ndups ncmds_succd ncmds_errs ncmds_repld", "5 1 2 2 4"},
          {"verbose", "Gv nsess_created nsess_complete pps_in total_duration",
           "nsess_created=1 nsess_complete=1 pps_in=1.000000 total_duration=0.000000"},
          {"packets", "G npkts_rcvd npkts_relayed npkts_discard", "1 1 0"},
          {"no names, nothing", "G", ""},
          {"unknown", "G nonsense", "E68"},
          {"unknown letter", "Ggarbage nsess_created", "E9"},
          {"end", "D c ft", "0"},
          {"is counted", "G nsess_destroyed nsess_owrtp nsess_nortcp rtpa_nrcvd total_duration",
           "1 1 1 1 1.000000"},
          {"the rest exists",
           "G nsess_timeout nsess_nortp nsess_owrtcp nplrs_created nplrs_destroyed npkts_played "
           "npkts_resizer_in npkts_resizer_out npkts_resizer_discard rtpa_nsent rtpa_ndups "
           "rtpa_nlost rtpa_perrs",
           "0 0 0 0 0 0 0 0 0 1 0 0 0"},
      });
}

TEST_CASE("the packet rate is that of the last second to ten, whenever it is asked for") {
  RelayFixture relay;
  relay.ask("U c 192.0.2.1 4000 ft");
  relay.ask("L c 192.0.2.2 5000 ft tt");
  FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
  const Endpoint caller{*IpAddress::parse("192.0.2.1"), 4000};
  uint16_t sequence = 0;
  const auto send = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      const auto packet = rtp_packet(++sequence);
      relay.plane.deliver(flows, {LegId::caller, Component::rtp, caller, packet});
    }
  };
  struct Case {
    std::string description;
    int packets, seconds;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"before a second has passed", 8, 0, "0.000000"},
      {"over what has passed since the start", 8, 4, "4.000000"},
      {"asked again at once", 0, 0, "4.000000"},
      {"over what has passed since it was asked for", 6, 2, "3.000000"},
      {"not asked for ten seconds: measured all the same", 10, 10, "1.000000"},
      {"nothing before those counts", 0, 1, "0.000000"},
      {"long silence after packets", 20, 25, "0.000000"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    send(c.packets);
    relay.wait_s(c.seconds);
    CHECK(relay.ask("G pps_in") == c.expected);
  }
}

TEST_CASE("prompts are refused as if they could not start") {
  RelayFixture relay;
  run(relay, {
                 {"no session", "P c prompt session ft", "E50"},
                 {"", "S c ft", "E50"},
                 {"a session without codecs", "U c 192.0.2.1 4000 ft", "30000"},
                 {"count first", "Pgarbage c prompt session ft", "E17"},
                 {"no stored codecs", "P c prompt session ft", "E35"},
                 {"no prompt", "P c prompt 0,8 ft", "E60"},
                 {"with codecs", "Uc0,8 c 192.0.2.1 4000 ft", "30000"},
                 {"the caller has them", "P c prompt session ft", "E60"},
                 {"the callee has not", "P c prompt session tt ft", "E35"},
                 {"stop what plays: nothing does", "P0 c prompt session ft", "0"},
                 {"stop is always well", "S c ft", "0"},
             });
}

TEST_CASE("signalling reaches the plane leg by leg") {
  RelayFixture relay;
  relay.ask("Uc0,8 c 192.0.2.1 4000 ft");
  const auto spec = [&]() -> const FlowGroupSpec& {
    return relay.sessions.find("c", "ft", std::nullopt)->session->flows->spec;
  };
  const auto caller = [&]() -> const LegSpec& { return spec().legs[index(LegId::caller)]; };
  CHECK_FALSE(spec().complete);
  CHECK(caller().signalled->to_string() == "192.0.2.1:4000");
  CHECK(caller().with_codecs);
  CHECK(caller().policy == LatchPolicy::strict);
  CHECK(caller().signalled_count == 1);

  relay.ask("La c 192.0.2.2 5000 ft tt");
  CHECK(spec().complete);
  CHECK(spec().legs[index(LegId::callee)].policy == LatchPolicy::asymmetric);
  CHECK_FALSE(spec().legs[index(LegId::callee)].with_codecs);

  relay.ask("U c 0.0.0.0 4000 ft");  // hold keeps the address; absent codecs are cleared
  CHECK(caller().signalled->to_string() == "192.0.2.1:4000");
  CHECK(caller().signalled_count == 2);
  CHECK_FALSE(caller().with_codecs);

  relay.ask("Us c 192.0.2.1 4002 ft");
  CHECK(caller().signalled->port == 4002);
  relay.ask("U c 192.0.2.1 0 ft");  // a rejected stream has no port to send to
  CHECK(caller().signalled->port == 4002);
}

TEST_CASE("the default policy follows the options") {
  struct Case {
    std::string description;
    bool compat, force, bridging, bridge_symmetric;
    std::string letters;
    LatchPolicy expected;
  };
  const std::vector<Case> cases = {
      {"strict", false, false, false, true, "", LatchPolicy::strict},
      {"compat", true, false, false, true, "", LatchPolicy::compat},
      {"forced", false, true, false, true, "", LatchPolicy::asymmetric},
      {"forced, undone by s", false, true, false, true, "s", LatchPolicy::strict},
      {"asked for", true, false, false, true, "a", LatchPolicy::asymmetric},
      {"bridging is symmetric", false, false, true, true, "", LatchPolicy::strict},
      {"unless told otherwise", false, false, true, false, "", LatchPolicy::asymmetric},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Config config = sequential_config("127.0.0.1");
    config.startup.local_addresses.push_back({"", *IpAddress::parse("127.0.0.2"), ""});
    config.startup.bridging = c.bridging;
    config.startup.bridge_symmetric = c.bridge_symmetric;
    config.startup.force_asymmetric = c.force;
    config.startup.latch_policy =
        c.compat ? LatchPolicyDefault::compat : LatchPolicyDefault::strict;
    RelayFixture relay(config);
    relay.ask("U" + c.letters + " c 192.0.2.1 4000 ft");
    const Session& session = *relay.sessions.find("c", "ft", std::nullopt)->session;
    CHECK(session.leg_spec(LegId::caller).policy == c.expected);
  }
}

TEST_CASE("refusals for lack of room have their numbers") {
  Config config = sequential_config();
  config.startup.port_max = 30001;
  config.runtime.sessions_max = 2;
  RelayFixture relay(config);
  run(relay, {
                 {"the only pair", "U c 192.0.2.1 4000 ft", "30000"},
                 {"no pair for a new session", "U d 192.0.2.1 4000 ft", "E72"},
                 {"no pair for the answer", "L c 192.0.2.1 4000 ft tt", "E71"},
                 {"no new port either", "Un c 192.0.2.1 4000 ft", "E71"},
                 {"the session goes on", "U c 192.0.2.1 4000 ft", "30000"},
             });
  relay.sessions.start_draining();
  CHECK(relay.ask("U d 192.0.2.1 4000 ft") == "E99");
}

}  // namespace relay
