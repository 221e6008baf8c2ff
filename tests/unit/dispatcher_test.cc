// Exchanges with rtpproxy, command by command, through the dispatcher.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/relay_fixture.h"

namespace relay {
namespace {

struct Exchange {
  std::string description;
  std::string command;
  std::string reply;
};

void run(RelayFixture& relay, const std::vector<Exchange>& exchanges) {
  for (const Exchange& c : exchanges) {
    CAPTURE(c.description);
    CAPTURE(c.command);
    CHECK(relay.ask(c.command) == c.reply);
  }
}

}  // namespace

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

}  // namespace relay
