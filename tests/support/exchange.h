// A row of a conversation with the relay: what is said, what must be answered.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/relay_fixture.h"

namespace relay {

struct Exchange {
  std::string description;
  std::string command;
  std::string reply;
};

inline void run(RelayFixture& relay, const std::vector<Exchange>& exchanges) {
  for (const Exchange& c : exchanges) {
    CAPTURE(c.description);
    CAPTURE(c.command);
    CHECK(relay.ask(c.command) == c.reply);
  }
}

}  // namespace relay
