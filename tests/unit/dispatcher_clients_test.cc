// Calls as Kamailio, OpenSIPS and Sippy drive them, forks above all.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/support/exchange.h"

namespace relay {
namespace {

// Where media to the callee is signalled to go.
std::string callee_of(const RelayFixture& relay, std::string_view call_id,
                      std::string_view from = "fromA;1") {
  const auto match = relay.sessions.find(call_id, from, std::nullopt);
  REQUIRE(match);
  const auto& signalled = match->session->leg_spec(LegId::callee).signalled;
  return signalled ? signalled->to_string() : "";
}

const std::vector<Exchange> kParallelFork = {
    {"branch 1", "Uc0,8 par@a 192.0.2.1 4000 fromA;1", "30000"},
    {"branch 2: the same port", "Uc0,8 par@a 192.0.2.1 4000 fromA;1", "30000"},
    {"183 of branch 1", "Lc0,8 par@a 198.51.100.1 5000 fromA;1 toB1;1", "30002"},
    {"183 of branch 2: the same port", "Lc0,8 par@a 198.51.100.2 5100 fromA;1 toB2;1", "30002"},
};

}  // namespace

TEST_CASE("Kamailio: call, hold, re-INVITE from either side, BYE") {
  RelayFixture relay(sequential_config("127.0.0.1"));
  run(relay,
      {
          {"INVITE", "Uc0,8,101 b@a 192.0.2.1 40000 fromA;1", "30000 127.0.0.1"},
          {"200", "Lc0,8,101 b@a 192.0.2.2 50000 fromA;1 toB;1", "30002 127.0.0.1"},
          {"hold", "Uc0,8,101 b@a 192.0.2.1 40000 fromA;1 toB;1", "30000 127.0.0.1"},
          {"its answer", "Lc0,8,101 b@a 192.0.2.2 50000 fromA;1 toB;1", "30002 127.0.0.1"},
          {"hold as SDP says it", "Uc0,8,101 b@a 0.0.0.0 40000 fromA;1 toB;1", "30000 127.0.0.1"},
          {"re-INVITE by the callee", "Uc0,8,101 b@a 192.0.2.2 50000 toB;1 fromA;1",
           "30002 127.0.0.1"},
          {"its answer", "Lc0,8,101 b@a 192.0.2.1 40000 toB;1 fromA;1", "30000 127.0.0.1"},
          {"BYE", "D b@a fromA toB", "0"},
          {"200 to BYE", "D b@a fromA toB", "E50"},
          {"late 200 of the INVITE", "Lc0,8,101 b@a 192.0.2.2 50000 fromA;1 toB;1", "0"},
      });
}

TEST_CASE("Kamailio: two media, one D, also with one medium rejected") {
  RelayFixture relay;
  run(relay, {
                 {"audio", "Uc0,8,101 av@a 192.0.2.1 40000 fromA;1", "30000"},
                 {"video", "Uc96,97 av@a 192.0.2.1 40002 fromA;2", "30002"},
                 {"audio answered", "Lc0,8,101 av@a 192.0.2.2 50000 fromA;1 toB;1", "30004"},
                 {"video rejected", "Lc96,97 av@a 192.0.2.2 0 fromA;2 toB;2", "30006"},
                 {"one D for both", "D av@a fromA toB", "0"},
                 {"none is left", "D av@a fromA", "E50"},
             });
  CHECK(relay.sessions.active() == 0);
}

TEST_CASE("Kamailio: early media, cancel, reject") {
  RelayFixture relay;
  run(relay, {
                 {"INVITE", "U c@a 192.0.2.1 40000 fromA;1", "30000"},
                 {"183", "L c@a 192.0.2.2 50000 fromA;1 toB;1", "30002"},
                 {"200: the same port", "L c@a 192.0.2.2 50000 fromA;1 toB;1", "30002"},
                 {"CANCEL", "D c@a fromA", "0"},
                 {"487", "D c@a fromA toB", "E50"},
                 {"INVITE", "U r@a 192.0.2.1 40000 fromA;1", "30004"},
                 {"486 with a to-tag never heard of", "D r@a fromA toB", "0"},
                 {"again", "D r@a fromA toB", "E50"},
             });
  relay.wait_s(6);
  CHECK(relay.sessions.table().size() == 0);
  CHECK(relay.sessions.ports().taken() == 0);
  CHECK(relay.sessions.counters().timed_out == 0);
}

TEST_CASE("parallel fork: a rejected branch leaves the call to the others") {
  RelayFixture relay;
  run(relay, kParallelFork);
  CHECK(callee_of(relay, "par@a") == "198.51.100.2:5100");
  CHECK(relay.ask("D par@a fromA toB2") == "0");  // 486 of branch 2
  CHECK(callee_of(relay, "par@a") == "198.51.100.1:5000");
  CHECK(relay.ask("D par@a fromA toB2") == "0");
  run(relay, {
                 {"200 of branch 1", "Lc0,8 par@a 198.51.100.1 5000 fromA;1 toB1;1", "30002"},
                 {"BYE", "D par@a fromA toB1", "0"},
                 {"its 200", "D par@a fromA toB1", "E50"},
             });
  CHECK(relay.sessions.active() == 0);
}

TEST_CASE("parallel fork: the branch that did not answer last is rejected") {
  RelayFixture relay;
  run(relay, kParallelFork);
  CHECK(relay.ask("D par@a fromA toB1") == "0");
  CHECK(callee_of(relay, "par@a") == "198.51.100.2:5100");
  CHECK(relay.ask("D par@a fromA toB2") == "0");
  CHECK(relay.sessions.active() == 0);
}

TEST_CASE("parallel fork: a branch that never answered is rejected") {
  RelayFixture relay;
  run(relay, kParallelFork);
  CHECK(relay.ask("D par@a fromA toB3") == "0");
  CHECK(callee_of(relay, "par@a") == "198.51.100.2:5100");
  CHECK(relay.ask("D par@a fromA") == "0");  // CANCEL names no branch
  CHECK(relay.sessions.active() == 0);
}

TEST_CASE("parallel fork: the only branch heard of is rejected, another answers later") {
  struct Case {
    std::string description;
    std::vector<Exchange> before;
    std::string port_of_answer;
  };
  const std::vector<Case> cases = {
      {"it had sent a 183",
       {{"183", "L par@a 198.51.100.2 5100 fromA;1 toB2;1", "30002"},
        {"486", "D par@a fromA toB2", "0"}},
       "30002"},
      {"it had sent nothing", {{"486", "D par@a fromA toB2", "0"}}, "30002"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    RelayFixture relay;
    CHECK(relay.ask("U par@a 192.0.2.1 4000 fromA;1") == "30000");
    run(relay, c.before);
    CHECK(relay.sessions.active() == 0);
    run(relay, {
                   {"unknown to queries", "Q par@a fromA;1", "E50"},
                   {"and to D", "D par@a fromA toB2", "E50"},
                   {"a late answer of the rejected branch",
                    "L par@a 198.51.100.2 5100 fromA;1 toB2;1", "0"},
               });
    relay.wait_s(3);
    CHECK(relay.ask("L par@a 198.51.100.1 5000 fromA;1 toB1;1") == c.port_of_answer);
    CHECK(relay.sessions.active() == 1);
    CHECK(callee_of(relay, "par@a") == "198.51.100.1:5000");
    relay.wait_s(30);
    CHECK(relay.sessions.active() == 1);
    CHECK(relay.ask("D par@a toB1 fromA") == "0");  // BYE of the callee: nothing lingers
    CHECK(relay.sessions.table().size() == 0);
  }
}

TEST_CASE("a burst of commands corks the plane") {
  RelayFixture relay;
  relay.dispatcher.begin_burst();
  CHECK(relay.plane.corked);
  relay.dispatcher.end_burst();
  CHECK_FALSE(relay.plane.corked);
}

TEST_CASE("a session that lingers takes no media and is gone after the grace time") {
  RelayFixture relay;
  relay.ask("U par@a 192.0.2.1 4000 fromA;1");
  relay.ask("L par@a 198.51.100.2 5100 fromA;1 toB2;1");
  relay.ask("D par@a fromA toB2");
  CHECK_FALSE((*relay.plane.installed().begin())->spec.complete);
  relay.wait_s(5);
  CHECK(relay.plane.installed().empty());
  CHECK(relay.ask("L par@a 198.51.100.1 5000 fromA;1 toB1;1") == "0");
}

TEST_CASE("without grace time D means D") {
  Config config = sequential_config();
  config.runtime.fork_grace = std::chrono::seconds(0);
  RelayFixture relay(config);
  relay.ask("U par@a 192.0.2.1 4000 fromA;1");
  CHECK(relay.ask("D par@a fromA toB2") == "0");
  CHECK(relay.sessions.table().size() == 0);
}

TEST_CASE("serial fork: the next attempt goes on, to another network with other ports") {
  Config config = sequential_config("127.0.0.1");
  config.startup.bridging = true;
  config.startup.local_addresses.push_back({"", *IpAddress::parse("127.0.0.2"), ""});
  RelayFixture relay(config);
  run(relay, {
                 {"first attempt", "Uii s@a 192.0.2.1 4000 fromA;1", "30000 127.0.0.1"},
                 {"183", "L s@a 192.0.2.2 5000 fromA;1 toB1;1", "30002 127.0.0.1"},
                 {"486", "D s@a fromA toB1", "0"},
                 {"same network", "Uii s@a 192.0.2.1 4000 fromA;1", "30000 127.0.0.1"},
                 {"180 without SDP, 486", "D s@a fromA toB2", "0"},
                 {"other network", "Uie s@a 192.0.2.1 4000 fromA;1", "30004 127.0.0.2"},
                 {"200", "L s@a 198.51.100.1 5000 fromA;1 toB3;1", "30006 127.0.0.1"},
                 {"BYE", "D s@a fromA toB3", "0"},
             });
  CHECK(relay.sessions.active() == 0);
  CHECK(relay.sessions.counters().created == 3);
}

TEST_CASE("a request of the caller within a dialog settles which branch won") {
  RelayFixture relay;
  run(relay, kParallelFork);
  run(relay, {
                 {"re-INVITE", "Uc0,8 par@a 192.0.2.1 4000 fromA;1 toB2;1", "30000"},
                 {"BYE, though nobody told of branch 1", "D par@a fromA toB2", "0"},
                 {"again", "D par@a fromA toB2", "E50"},
             });
}

TEST_CASE("a branch answers again: its newest address counts") {
  RelayFixture relay;
  run(relay, kParallelFork);
  relay.ask("L par@a 198.51.100.1 5555 fromA;1 toB1;1");
  CHECK(callee_of(relay, "par@a") == "198.51.100.1:5555");
  relay.ask("L par@a 0.0.0.0 5100 fromA;1 toB2;1");  // hold: the address it had
  CHECK(callee_of(relay, "par@a") == "198.51.100.1:5555");
  relay.ask("D par@a fromA toB1");
  CHECK(callee_of(relay, "par@a") == "198.51.100.2:5100");
}

TEST_CASE("late offer: the session is the callee's, D finds it by either tag") {
  RelayFixture relay;
  run(relay, {
                 {"200 with the offer", "U lo@a 192.0.2.2 5000 toB;1 fromA;1", "30000"},
                 {"ACK with the answer", "L lo@a 192.0.2.1 4000 toB;1 fromA;1", "30002"},
                 {"BYE", "D lo@a fromA toB", "0"},
                 {"its 200", "D lo@a fromA toB", "E50"},
             });
}

TEST_CASE("Kamailio: branches in the call-id that differ between INVITE and BYE") {
  RelayFixture relay;
  run(relay,
      {
          {"INVITE", "U br@a;z9hG4bK1 192.0.2.1 4000 fromA;1", "30000"},
          {"200", "L br@a;z9hG4bK1 192.0.2.2 5000 fromA;1 toB;1", "30002"},
          {"another call with that prefix", "U br@a;z9hG4bK2 192.0.2.3 4000 fromC;1", "30004"},
          {"BYE", "D br@a;z9hG4bK9 fromA toB", "0"},
          {"its 200", "D br@a;z9hG4bK9 fromA toB", "E50"},
          {"without branch at last", "D br@a fromC", "0"},
          {"plain session, branch in D", "U pl@a 192.0.2.1 4000 fromA;1", "30006"},
          {"tags must fit", "D pl@a;z9hG4bK9 fromX toX", "E50"},
          {"and do", "D pl@a;z9hG4bK9 fromA", "0"},
      });
}

TEST_CASE("OpenSIPS: empty from-tag, suffix forgotten, placeholder tag") {
  RelayFixture relay;
  run(relay,
      {
          {"main route, INVITE", "U m@a 192.0.2.1 4000 fromA;1", "30000"},
          {"183 of a branch", "L m@a 198.51.100.1 5000 fromA;1 toB1;1", "30002"},
          {"200 of another", "L m@a 198.51.100.2 5100 fromA;1 toB2;1", "30002"},
          {"another dialog's BYE", "D m@a  toX", "E50"},
          {"BYE", "D m@a  toB2", "0"},
          {"again", "D m@a  toB2", "E50"},
          {"branch route, branch 0", "U b@a-0 192.0.2.1 4000 fromA;1", "30004"},
          {"branch 1", "U b@a-1 192.0.2.1 4000 fromA;1", "30006"},
          {"200 of branch 1", "L b@a-1 198.51.100.2 5100 fromA;1 toB1;1", "30008"},
          {"BYE without suffix", "D b@a  toB1", "0"},
          {"branch 1 is gone", "Q b@a-1 fromA;1", "E50"},
          {"CANCEL of the rest", "D b@a fromA", "0"},
          {"all gone", "D b@a fromA", "E50"},
          {"callee's BYE", "U c@a 192.0.2.1 4000 fromA;1", "30010"},
          {"by the caller's tag alone", "D c@a  fromA", "0"},
          {"flag l", "U l@a 192.0.2.1 4000 fromA;1", "30012"},
          {"answers with a placeholder", "Lc0,8,101 l@a 192.0.2.2 5000 dummy;1 fromA;1", "30012"},
      });
  CHECK(relay.sessions.active() == 1);
}

TEST_CASE("Sippy: U for both sides, media numbers behind the call-id") {
  RelayFixture relay(sequential_config("192.0.2.7"));
  relay.sockets.addresses = {"192.0.2.7"};
  relay.sockets.routes = {{"192.0.2.1", "192.0.2.7"}, {"192.0.2.2", "192.0.2.7"}};
  run(relay,
      {
          {"offer", "UR192.0.2.2 s@h-0 192.0.2.1 4000 FT", "30000 192.0.2.7"},
          {"answer: U, tags swapped", "UR192.0.2.1 s@h-0 192.0.2.2 5000 TT FT", "30002 192.0.2.7"},
          {"video", "UR192.0.2.2 s@h-1 192.0.2.1 4002 FT", "30004 192.0.2.7"},
          {"re-INVITE", "UR192.0.2.2 s@h-0 192.0.2.1 4000 FT TT", "30000 192.0.2.7"},
          {"hold", "UR192.0.2.2 s@h-0 0.0.0.0 4000 FT TT", "30000 192.0.2.7"},
          {"new port", "UN s@h-0 192.0.2.2 5000 TT FT", "30006 192.0.2.7"},
          {"query", "Q s@h-0 FT TT", "60 0 0 0 0"},
          {"highest medium first", "D s@h-1 FT TT", "0"},
          {"then the other", "D s@h-0 FT TT", "0"},
          {"nothing left", "D s@h-0 FT TT", "E50"},
          {"play before any call", "U p@h-0 0.0.0.0 0 FT", "30008 192.0.2.7"},
      });
  CHECK(relay.sessions.active() == 1);
}

}  // namespace relay
