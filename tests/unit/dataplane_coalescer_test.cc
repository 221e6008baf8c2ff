#include <doctest/doctest.h>

#include <chrono>

#include "relay/dataplane/coalescer.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// Rounds of `packets` each `apart` for `span`; the pause after the last.
Duration after(Coalescer& coalescer, Instant& now, uint64_t packets, Duration apart,
               Duration span) {
  Duration pause{};
  for (const Instant end = now + span; now < end; now += apart) {
    pause = coalescer.pause_after(packets, now);
  }
  return pause;
}

TEST_CASE("packets gather where a pause yields at least two") {
  struct Row {
    const char* name;
    Duration pause;
    uint64_t packets;
    Duration apart, expected;
  };
  const Row rows[] = {
      {"20,000 a second, one by one", 200us, 1, 50us, 200us},
      {"10,000 a second: just two a pause", 200us, 1, 100us, 200us},
      {"9,000 a second", 200us, 1, 111us, 0us},
      {"one call", 200us, 1, 10ms, 0us},
      {"100,000 a second in rounds of 20", 200us, 20, 200us, 200us},
      {"a long pause needs fewer", 1ms, 1, 400us, 1ms},
      {"never", 0us, 1, 1us, 0us},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Coalescer coalescer(row.pause);
    Instant now = from_ns(1'000'000'000);
    CHECK(after(coalescer, now, row.packets, row.apart, 50ms) == row.expected);
  }
}

TEST_CASE("the first packets after a silence do not wait") {
  Coalescer coalescer(200us);
  Instant now = from_ns(1'000'000'000);
  CHECK(coalescer.pause_after(50, now) == 0us);
  CHECK(after(coalescer, now, 1, 50us, 50ms) == 200us);
  now += 1s;
  CHECK(coalescer.pause_after(1, now) == 0us);
  CHECK(after(coalescer, now, 1, 50us, 50ms) == 200us);
}

TEST_CASE("packets that gather all arrive, in their order") {
  auto pool = WorkerPool::start(1, 2ms);
  REQUIRE(pool);
  Call call;
  (*pool)->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 0})));
  REQUIRE(call.pass(LegId::callee, kRtp, rtp_packet({.sequence = 0})));
  uint16_t next = 1;
  for (uint16_t sent = 1; sent <= 5000; ++sent) {
    call.send(LegId::caller, kRtp, rtp_packet({.sequence = sent}));
    if (sent % 50 != 0) continue;  // what a receive buffer holds
    while (next <= sent) {
      const auto got = call.party(LegId::callee, kRtp).receive();
      REQUIRE(got);
      CHECK(read_be16(got->bytes, 2) == next++);
    }
  }
  CHECK((*pool)->counters().dropped() == 0);
  remove_and_settle(**pool, call);
}

}  // namespace
}  // namespace relay
