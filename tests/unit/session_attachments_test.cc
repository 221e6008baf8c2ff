#include <doctest/doctest.h>

#include <atomic>
#include <memory>

#include "tests/support/attachments.h"
#include "tests/support/relay_fixture.h"

namespace relay {
namespace {

using testing::CountingTap;

Session& made_session(RelayFixture& relay) {
  CHECK(relay.ask("U c1 192.0.2.1 4000 ft") == "30000");
  CHECK(relay.ask("L c1 192.0.2.2 5000 ft tt") == "30002");
  return *relay.sessions.find("c1", "ft", std::nullopt)->session;
}

TEST_CASE("what is detached lives until the plane has let go") {
  RelayFixture relay;
  std::atomic<int> alive{0};
  Session& session = made_session(relay);
  auto owned = std::make_unique<CountingTap>(TapAnswer::relay, &alive);
  CountingTap& tap = *owned;
  REQUIRE(relay.sessions.attach(session, LegId::caller, std::move(owned)));
  CHECK(session.flows->spec.legs[index(LegId::caller)].taps[0] == &tap);

  relay.plane.hold_tickets();
  relay.sessions.detach(session, LegId::caller, tap);
  relay.sessions.expire();
  CHECK(alive == 1);
  relay.plane.settle_all();
  CHECK(session.flows->spec.legs[index(LegId::caller)].taps[0] == nullptr);
  relay.sessions.expire();
  CHECK(alive == 0);
  relay.plane.settle_at_once();
}

TEST_CASE("a leg takes a bounded number of taps") {
  RelayFixture relay;
  std::atomic<int> alive{0};
  Session& session = made_session(relay);
  for (size_t i = 0; i < LegSpec::kTapsMax; ++i) {
    CHECK(relay.sessions.attach(session, LegId::callee,
                                std::make_unique<CountingTap>(TapAnswer::relay, &alive)));
  }
  CHECK_FALSE(relay.sessions.attach(session, LegId::callee,
                                    std::make_unique<CountingTap>(TapAnswer::relay, &alive)));
  CHECK(alive == int{LegSpec::kTapsMax});
  CHECK(relay.ask("X") == "0");
  relay.sessions.expire();
  CHECK(alive == 0);
}

TEST_CASE("a deleted session that lingers has nothing attached any more") {
  RelayFixture relay;
  std::atomic<int> alive{0};
  Session& session = made_session(relay);
  relay.sessions.attach(session, LegId::caller,
                        std::make_unique<CountingTap>(TapAnswer::relay, &alive));
  relay.sessions.set_source(session, LegId::callee,
                            std::make_unique<testing::PacketSource>(1, Duration{1}));
  CHECK(relay.ask("D c1 ft tt") == "0");
  relay.sessions.expire();
  CHECK(alive == 0);
  CHECK(session.spec.legs[index(LegId::callee)].source == nullptr);
}

}  // namespace
}  // namespace relay
