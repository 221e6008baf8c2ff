#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "relay/dataplane/consumers.h"
#include "tests/support/attachments.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using testing::Call;
using testing::CountingTap;
using testing::eventually;
using testing::kRtcp;
using testing::kRtp;
using testing::PacketSource;
using testing::RepeatingTransform;
using namespace std::chrono_literals;

FlowStats& rtp_stats(Call& call, LegId leg) {
  return call.group->stats_of(leg, kRtp);
}

uint64_t drops(Call& call, LegId leg, DropReason reason) {
  return rtp_stats(call, leg).drops[static_cast<size_t>(reason)].get();
}

TEST_CASE("taps see what a party sends and may keep it") {
  struct Case {
    std::string description;
    TapAnswer first, second;
    bool arrives;
  };
  const std::vector<Case> cases = {
      {"two that only look", TapAnswer::relay, TapAnswer::relay, true},
      {"the first keeps it, the second sees it all the same", TapAnswer::consume, TapAnswer::relay,
       false},
      {"the second keeps it", TapAnswer::relay, TapAnswer::consume, false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CountingTap first(c.first), second(c.second);
    Call call;
    call.spec.legs[index(LegId::caller)].taps = {&first, &second};
    auto pool = testing::start_pool(1);
    pool->install(*call.group, call.spec);
    call.send(LegId::caller, kRtp, testing::rtp_packet({}));
    REQUIRE(eventually([&] { return second.offered.load() == 1; }));
    CHECK(first.offered.load() == 1);
    CHECK(first.last_local_port.load() == call.relay(LegId::caller, kRtp).port);
    if (c.arrives) CHECK(call.party(LegId::callee, kRtp).receive());
    // What they do not want they do not see, and what comes from the other party neither.
    REQUIRE(call.pass(LegId::caller, kRtcp, testing::rtcp_packet()));
    REQUIRE(call.pass(LegId::callee, kRtp, testing::rtp_packet({})));
    testing::remove_and_settle(*pool, call);
    CHECK(first.offered.load() == 1);
    CHECK(rtp_stats(call, LegId::caller).consumed.get() == (c.arrives ? 0 : 1));
    testing::check_balanced(pool->counters());
  }
}

// 60 packets from one place.
void settle_caller(Call& call) {
  for (uint16_t i = 0; i < 60; ++i) {
    REQUIRE(call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = i})));
  }
}

TEST_CASE("copies of what the kernel has relayed go to the taps and nowhere else") {
  constexpr uint32_t kMark = 0x7EE;
  enum class Settled : uint8_t { never, before_tap, with_tap };  // the caller, in one place
  const auto when = [&] {
    SUBCASE("from a party that has just come") {
      return Settled::never;
    }
    SUBCASE("by the socket of a settled party") {
      return Settled::before_tap;
    }
    SUBCASE("by the socket of one that settled later") {
      return Settled::with_tap;
    }
    return Settled::never;
  }();
  CountingTap tap;
  Call call;
  auto pool = testing::start_pool(1);
  pool->recognise_copies(kMark);
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, testing::rtp_packet({})));
  if (when == Settled::before_tap) settle_caller(call);
  FlowStats& stats = rtp_stats(call, LegId::caller);
  CHECK_FALSE(stats.tells_copies.load());

  call.spec.legs[index(LegId::caller)].taps = {&tap};
  pool->update(*call.group, call.spec);
  const int party = call.party(LegId::caller, kRtp).fd();
  const auto set_mark = [&](uint32_t mark) {
    return ::setsockopt(party, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
  };
  const bool tells = eventually([&] { return stats.tells_copies.load(); });
  if (!tells || !set_mark(kMark)) {
    MESSAGE("SKIPPED: copies cannot be told or made here (Linux 5.19, CAP_NET_ADMIN)");
    return testing::remove_and_settle(*pool, call);
  }
  // On loopback a packet keeps its mark: this one looks like a copy.
  if (when == Settled::with_tap) settle_caller(call);
  const uint64_t passed = when == Settled::never ? 1 : 61;
  REQUIRE(eventually([&] { return stats.received.get() == passed; }));
  const int own = testing::connected_socket_on(call.relay(LegId::caller, kRtp));
  CHECK((own >= 0) == (when != Settled::never));
  const uint64_t offered = tap.offered.load();
  const uint64_t received = stats.received.get();
  call.send(LegId::caller, kRtp, testing::rtp_packet({.sequence = 2}));
  REQUIRE(eventually([&] { return tap.offered.load() == offered + 1; }));
  REQUIRE(set_mark(kMark + 1));
  const auto relayed = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 3}));
  REQUIRE(relayed);
  CHECK(relayed->bytes[3] == std::byte{3});
  CHECK(tap.offered.load() == offered + 2);
  // A batch is counted after it is sent.
  CHECK(eventually([&] { return stats.received.get() == received + 1; }));

  // The last tap gone, copies under way are still none of the call's packets.
  call.spec.legs[index(LegId::caller)].taps = {};
  const PlaneTicket ticket = pool->update(*call.group, call.spec);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));
  REQUIRE(set_mark(kMark));
  call.send(LegId::caller, kRtp, testing::rtp_packet({.sequence = 4}));
  REQUIRE(set_mark(0));
  const auto next = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 5}));
  REQUIRE(next);
  CHECK(next->bytes[3] == std::byte{5});
  CHECK(tap.offered.load() == offered + 2);
  testing::remove_and_settle(*pool, call);
  testing::check_balanced(pool->counters());
}

TEST_CASE("a transform consumes what comes and what it makes is sent and tapped") {
  RepeatingTransform twice(2);
  CountingTap tap;
  Call call;
  call.spec.legs[index(LegId::caller)].transform = &twice;
  call.spec.legs[index(LegId::caller)].taps = {&tap};
  auto pool = testing::start_pool(1);
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, testing::rtp_packet({})));
  REQUIRE(call.party(LegId::callee, kRtp).receive());
  testing::remove_and_settle(*pool, call);
  CHECK(tap.offered.load() == 2);
  CHECK(rtp_stats(call, LegId::caller).consumed.get() == 1);
  CHECK(rtp_stats(call, LegId::caller).emitted.get() == 2);
  CHECK(pool->counters().emitted == 2);
  testing::check_balanced(pool->counters());
}

TEST_CASE(
    "a transform is called by time, and what it leaves behind shifts the rest of the stream") {
  testing::WaitingTransform waiting(20ms);
  CountingTap tap;
  Call call;
  call.spec.legs[index(LegId::caller)].transform = &waiting;
  call.spec.legs[index(LegId::caller)].taps = {&tap};
  auto pool = testing::start_pool(1);
  pool->install(*call.group, call.spec);
  const auto first = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 1}));
  REQUIRE(first);
  CHECK(read_be16(first->bytes, 2) == 2);
  CHECK(tap.offered.load() == 1);
  // The other way has no transform.
  const auto back = call.pass(LegId::callee, kRtp, testing::rtp_packet({.sequence = 1}));
  REQUIRE(back);
  CHECK(read_be16(back->bytes, 2) == 1);

  FlowGroupSpec without = call.spec;
  without.legs[index(LegId::caller)].transform = nullptr;
  const PlaneTicket ticket = pool->update(*call.group, without);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));
  const auto later = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 2}));
  REQUIRE(later);
  CHECK(read_be16(later->bytes, 2) == 3);
  testing::remove_and_settle(*pool, call);
  CHECK(rtp_stats(call, LegId::callee).shifted.load());
  CHECK(rtp_stats(call, LegId::caller).emitted.get() == 1);
  CHECK(pool->counters().transformed == 1);
  testing::check_balanced(pool->counters());
}

TEST_CASE("what waits in a transform leaves before the transform goes") {
  testing::WaitingTransform waiting(1h);
  Call call;
  call.spec.legs[index(LegId::caller)].transform = &waiting;
  auto pool = testing::start_pool(1);
  pool->install(*call.group, call.spec);
  call.send(LegId::caller, kRtp, testing::rtp_packet({.sequence = 1}));
  REQUIRE(eventually([&] { return rtp_stats(call, LegId::caller).consumed.get() == 1; }));
  FlowGroupSpec without = call.spec;
  without.legs[index(LegId::caller)].transform = nullptr;
  pool->update(*call.group, without);
  const auto first = call.party(LegId::callee, kRtp).receive();
  REQUIRE(first);
  CHECK(read_be16(first->bytes, 2) == 2);
  testing::remove_and_settle(*pool, call);
  CHECK(rtp_stats(call, LegId::caller).emitted.get() == 1);
  testing::check_balanced(pool->counters());
}

TEST_CASE("a source speaks in time, replaces the other party, and shifts what comes after it") {
  constexpr int kPackets = 5;
  PacketSource source(kPackets, 20ms);
  CountingTap tap;
  Call call;
  auto pool = testing::start_pool(1);
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 1})));

  FlowGroupSpec spec = call.spec;
  spec.legs[index(LegId::callee)].source = &source;
  spec.legs[index(LegId::caller)].taps = {&tap};
  pool->update(*call.group, spec);
  auto& callee = call.party(LegId::callee, kRtp);
  REQUIRE(callee.receive());
  call.send(LegId::caller, kRtp, testing::rtp_packet({.sequence = 2}));
  REQUIRE(eventually([&] { return tap.replaced.load() == 1; }));
  for (int i = 1; i < kPackets; ++i) REQUIRE(callee.receive());
  const auto resumed = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 3}));
  REQUIRE(resumed);
  CHECK(read_be16(resumed->bytes, 2) == 3 + kPackets);
  // The shift outlives the source.
  pool->update(*call.group, call.spec);
  const auto later = call.pass(LegId::caller, kRtp, testing::rtp_packet({.sequence = 4}));
  REQUIRE(later);
  CHECK(read_be16(later->bytes, 2) == 4 + kPackets);
  testing::remove_and_settle(*pool, call);

  CHECK(source.started.load() == 1);
  CHECK(drops(call, LegId::caller, DropReason::replaced) == 1);
  CHECK(rtp_stats(call, LegId::callee).played.get() == kPackets);
  CHECK(rtp_stats(call, LegId::callee).shifted.load());
  CHECK(pool->counters().played == kPackets);
  testing::check_balanced(pool->counters());
}

TEST_CASE("a source waits for somewhere to send") {
  PacketSource source(1, 20ms);
  Call call;
  call.spec.legs[index(LegId::callee)].source = &source;
  FlowGroupSpec nowhere = call.spec;
  nowhere.legs[index(LegId::callee)].signalled.reset();
  nowhere.legs[index(LegId::callee)].signalled_count = 0;
  auto pool = testing::start_pool(1);
  pool->install(*call.group, nowhere);
  std::this_thread::sleep_for(50ms);
  CHECK(source.started.load() == 0);
  pool->update(*call.group, call.spec);
  CHECK(call.party(LegId::callee, kRtp).receive());
  testing::remove_and_settle(*pool, call);
}

}  // namespace
}  // namespace relay
