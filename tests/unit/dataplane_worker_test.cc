#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace testing;

TEST_CASE("RTP and RTCP pass both ways, unchanged, from the socket they belong to") {
  struct Case {
    std::string description;
    const char* callee;
    const char* caller;
    bool ipv6;
  };
  const std::vector<Case> cases = {
      {"IPv4 to IPv4", "127.0.0.1", "127.0.0.1", false},
      {"IPv6 to IPv6", "::1", "::1", true},
      {"IPv4 to IPv6", "127.0.0.1", "::1", true},
      {"IPv6 to IPv4", "::1", "127.0.0.1", true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    if (c.ipv6 && !have_ipv6()) continue;
    auto pool = start_pool(2);
    Call call(address(c.callee), address(c.caller));
    pool->install(*call.group, call.spec);
    for (const LegId leg : kLegs) {
      for (uint16_t sequence = 1; sequence <= 20; ++sequence) {
        const Packet rtp = rtp_packet({.sequence = sequence, .timestamp = sequence * 160U});
        const auto through = call.pass(leg, kRtp, rtp);
        REQUIRE(through);
        CHECK(through->bytes == rtp);
        CHECK(through->source == call.relay(other(leg), kRtp));
      }
      const auto report = call.pass(leg, kRtcp, rtcp_packet());
      REQUIRE(report);
      CHECK(report->bytes == rtcp_packet());
      CHECK(report->source == call.relay(other(leg), kRtcp));
    }
    remove_and_settle(*pool, call);
    const PlaneCounters counters = pool->counters();
    CHECK(counters.received == 42);
    CHECK(counters.forwarded == 42);
    CHECK(counters.received_bytes == 40 * 172 + 2 * 8);
    check_balanced(counters);
    const AnalyserTotals analysis = call.group->analysis_of(LegId::caller);
    CHECK(analysis.received == 20);
    CHECK(analysis.lost() == 0);
    CHECK(pool->descriptor_errors() == 0);
  }
}

TEST_CASE("RTCP multiplexed on the RTP port stays there") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  for (const LegId leg : kLegs) REQUIRE(call.pass(leg, kRtp, rtp_packet({})));
  const auto report = call.pass(LegId::caller, kRtp, rtcp_packet());
  REQUIRE(report);
  CHECK(report->bytes == rtcp_packet());
  remove_and_settle(*pool, call);
}

TEST_CASE("what is not forwarded is dropped by name, and the counters balance") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 1})));
  const UdpSocket stranger(Endpoint{address("127.0.0.9"), 0});
  REQUIRE(stranger.send(call.relay(LegId::caller, kRtp), rtp_packet({.sequence = 2})));
  call.send(LegId::caller, kRtp, Packet(9000));
  REQUIRE(eventually([&] { return call.received(LegId::caller, kRtp) == 3; }));
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 3})));
  remove_and_settle(*pool, call);

  const PlaneCounters counters = pool->counters();
  CHECK(counters.received == 4);
  CHECK(counters.forwarded == 2);
  CHECK(counters.drops[static_cast<size_t>(DropReason::truncated)] == 1);
  CHECK(counters.dropped() == 2);
  CHECK(counters.received_bytes == 3 * 172 + 9000);
  check_balanced(counters);
  const FlowStats& stats = call.group->stats_of(LegId::caller, kRtp);
  CHECK(stats.received.get() == stats.forwarded.get() + stats.dropped());
  CHECK_FALSE(call.party(LegId::callee, kRtp).readable(0ms));
}

TEST_CASE("a packet of the receive buffer's size is whole, one more byte is truncated") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  const Packet largest = rtp_packet({.payload_bytes = kReceiveBufferBytes - 12});
  const auto through = call.pass(LegId::caller, kRtp, largest);
  REQUIRE(through);
  CHECK(through->bytes == largest);
  call.send(LegId::caller, kRtp, rtp_packet({.payload_bytes = kReceiveBufferBytes - 11}));
  CHECK(eventually(
      [&] { return pool->counters().drops[static_cast<size_t>(DropReason::truncated)] == 1; }));
  remove_and_settle(*pool, call);
}

TEST_CASE("small packets leave twice under -2") {
  auto pool = start_pool(1);
  Call call;
  call.spec.duplicate_small_packets = true;
  pool->install(*call.group, call.spec);
  const Packet small = rtp_packet({.payload_bytes = 20});
  const auto first = call.pass(LegId::caller, kRtp, small);
  const auto second = call.party(LegId::callee, kRtp).receive();
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->bytes == small);
  CHECK(second->bytes == small);
  const Packet large = rtp_packet({.sequence = 2});
  const auto third = call.pass(LegId::caller, kRtp, large);
  REQUIRE(third);
  CHECK(third->bytes == large);
  remove_and_settle(*pool, call);
  CHECK_FALSE(call.party(LegId::callee, kRtp).readable(0ms));
  CHECK(pool->counters().forwarded == 2);
}

TEST_CASE("an update moves a leg to new sockets and leaves the old ones alone") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  for (const LegId leg : kLegs) REQUIRE(call.pass(leg, kRtp, rtp_packet({.sequence = 1})));

  UdpPair old = std::move(call.legs[index(LegId::caller)].relay);
  call.legs[index(LegId::caller)].relay = pair_on(address("127.0.0.1"));
  call.describe(LegId::caller);
  const PlaneTicket ticket = pool->update(*call.group, call.spec);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));

  for (const LegId leg : kLegs) {
    const auto through = call.pass(leg, kRtp, rtp_packet({.sequence = 2}));
    REQUIRE(through);
    CHECK(through->source == call.relay(other(leg), kRtp));
  }
  REQUIRE(call.party(LegId::caller, kRtp).send(old[0].local(), rtp_packet({.sequence = 3})));
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 3})));
  CHECK(old[0].readable(10s));  // still there, nobody reads the old socket
  remove_and_settle(*pool, call);
  CHECK(call.received(LegId::caller, kRtp) == 3);
}

// About one call in a thousand lost its first packet on a busy machine.
TEST_CASE("a packet sent after an update was posted meets the updated session") {
  auto pool = start_pool(1);
  Call call;
  Call busy;  // keeps the worker awake, so that it sees packet and post in one round
  pool->install(*busy.group, busy.spec);
  FlowGroupSpec incomplete = call.spec;
  incomplete.complete = false;
  pool->install(*call.group, incomplete);
  for (uint16_t i = 0; i < 3000; ++i) {
    const PlaneTicket ticket = pool->update(*call.group, incomplete);
    REQUIRE(eventually([&] { return pool->settled(ticket); }));
    busy.send(LegId::caller, kRtp, rtp_packet({.sequence = i}));
    pool->update(*call.group, call.spec);
    REQUIRE(call.pass(LegId::callee, kRtp, rtp_packet({.sequence = i})));
    REQUIRE(busy.party(LegId::callee, kRtp).receive());
  }
  CHECK(pool->counters().dropped() == 0);
  remove_and_settle(*pool, call);
  remove_and_settle(*pool, busy);
}

TEST_CASE("nothing is read once a remove has settled") {
  auto pool = start_pool(1);
  Call gone, witness;
  pool->install(*gone.group, gone.spec);
  pool->install(*witness.group, witness.spec);
  REQUIRE(gone.pass(LegId::caller, kRtp, rtp_packet({})));
  remove_and_settle(*pool, gone);
  gone.send(LegId::caller, kRtp, rtp_packet({.sequence = 2}));
  REQUIRE(witness.pass(LegId::caller, kRtp, rtp_packet({})));
  CHECK(gone.received(LegId::caller, kRtp) == 1);
  CHECK(gone.legs[index(LegId::caller)].relay[0].readable(10s));
  remove_and_settle(*pool, witness);
}

TEST_CASE("groups come and go by the thousand without being mixed up") {
  auto pool = start_pool(2);
  Call call;
  Call witness;
  pool->install(*witness.group, witness.spec);
  for (int i = 0; i < 1000; ++i) {
    pool->install(*call.group, call.spec);
    if (i % 100 == 0) {
      REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({})));
    }
    const PlaneTicket ticket = pool->remove(*call.group);
    REQUIRE(eventually([&] { return pool->settled(ticket); }));
  }
  REQUIRE(witness.pass(LegId::callee, kRtp, rtp_packet({})));
  remove_and_settle(*pool, witness);
  CHECK(pool->counters().forwarded == 11);
  CHECK(pool->descriptor_errors() == 0);
}

TEST_CASE("more posts than the ring holds make the caller wait, and lose nothing") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  PlaneTicket ticket;
  for (int i = 0; i < 2000; ++i) ticket = pool->update(*call.group, call.spec);
  CHECK(ticket.sequence == 2001);
  CHECK(eventually([&] { return pool->settled(ticket); }));
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({})));
  remove_and_settle(*pool, call);
}

TEST_CASE("a corked pool's posts reach the workers when it is uncorked") {
  auto pool = start_pool(2);
  std::vector<std::unique_ptr<Call>> calls;
  pool->cork();
  for (int i = 0; i < 4; ++i) {
    calls.push_back(std::make_unique<Call>());
    pool->install(*calls.back()->group, calls.back()->spec);
  }
  const PlaneTicket last = pool->update(*calls[0]->group, calls[0]->spec);
  std::this_thread::sleep_for(20ms);
  CHECK_FALSE(pool->settled(last));
  pool->uncork();
  for (auto& call : calls) REQUIRE(call->pass(LegId::caller, kRtp, rtp_packet({})));
  CHECK(eventually([&] { return pool->settled(last); }));
  for (auto& call : calls) remove_and_settle(*pool, *call);
}

TEST_CASE("a full ring wakes the worker of a corked pool") {
  auto pool = start_pool(1);
  Call call;
  pool->cork();
  pool->install(*call.group, call.spec);
  PlaneTicket ticket;
  for (int i = 0; i < 2000; ++i) ticket = pool->update(*call.group, call.spec);
  pool->uncork();
  CHECK(eventually([&] { return pool->settled(ticket); }));
  remove_and_settle(*pool, call);
}

TEST_CASE("a packet that waits for a post is not kept by the cork") {
  auto pool = start_pool(1);
  Call call;
  FlowGroupSpec incomplete = call.spec;
  incomplete.complete = false;
  pool->install(*call.group, incomplete);
  const PlaneTicket ticket = pool->update(*call.group, incomplete);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));
  pool->cork();
  pool->update(*call.group, call.spec);
  REQUIRE(call.pass(LegId::callee, kRtp, rtp_packet({})));
  pool->uncork();
  remove_and_settle(*pool, call);
}

TEST_CASE("a flooded port does not hold up another call on the same thread") {
  auto pool = start_pool(1);
  Call flooded, quiet;
  pool->install(*flooded.group, flooded.spec);
  pool->install(*quiet.group, quiet.spec);
  std::atomic<bool> done{false};
  const Endpoint target = flooded.relay(LegId::caller, kRtp);
  std::thread flood([&] {
    const UdpSocket stranger(Endpoint{address("127.0.0.9"), 0});
    const Packet packet = rtp_packet({.ssrc = 0xBAD});
    while (!done.load()) static_cast<void>(stranger.send(target, packet));
  });
  CHECK(eventually([&] { return flooded.received(LegId::caller, kRtp) > 100; }));
  int through = 0;
  for (uint16_t sequence = 1; sequence <= 200; ++sequence) {
    if (quiet.pass(LegId::caller, kRtp, rtp_packet({.sequence = sequence}))) ++through;
  }
  CHECK(through == 200);
  done.store(true);
  flood.join();
  // The flooded port itself works again once the kernel's queue has room.
  CHECK(eventually([&] {
    flooded.send(LegId::caller, kRtp, rtp_packet({}));
    return flooded.party(LegId::callee, kRtp).readable(50ms);
  }));
  remove_and_settle(*pool, flooded);
  remove_and_settle(*pool, quiet);
  check_balanced(pool->counters());
}

TEST_CASE("bursts over many calls arrive whole and in order") {
  constexpr uint16_t kPackets = 30;
  auto pool = start_pool(1);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 40; ++i) {
    calls.push_back(std::make_unique<Call>());
    pool->install(*calls.back()->group, calls.back()->spec);
  }
  for (uint16_t sequence = 1; sequence <= kPackets; ++sequence) {
    for (auto& call : calls) {
      call->send(LegId::caller, kRtp, rtp_packet({.sequence = sequence, .payload_bytes = 20}));
    }
  }
  for (auto& call : calls) {
    for (uint16_t sequence = 1; sequence <= kPackets; ++sequence) {
      const auto through = call->party(LegId::callee, kRtp).receive();
      REQUIRE(through);
      CHECK(read_be16(through->bytes, 2) == sequence);
    }
    remove_and_settle(*pool, *call);
  }
  CHECK(pool->counters().forwarded == 40 * kPackets);
}

TEST_CASE("a party that has closed its port costs neither direction anything") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  const Endpoint callee = call.party(LegId::callee, kRtp).local();
  REQUIRE(call.pass(LegId::callee, kRtp, rtp_packet({.sequence = 1})));
  { const UdpSocket closed = std::move(call.party(LegId::callee, kRtp)); }
  for (uint16_t sequence = 1; sequence <= 20; ++sequence) {
    call.send(LegId::caller, kRtp, rtp_packet({.sequence = sequence}));
  }
  CHECK(eventually([&] { return pool->counters().forwarded == 21; }));
  UdpSocket reopened(callee);
  REQUIRE(reopened.open());
  call.party(LegId::callee, kRtp) = std::move(reopened);
  REQUIRE(call.pass(LegId::callee, kRtp, rtp_packet({.sequence = 2})));
  REQUIRE(call.pass(LegId::caller, kRtp, rtp_packet({.sequence = 21})));
  remove_and_settle(*pool, call);
  CHECK(pool->counters().dropped() == 0);
}

TEST_CASE("on a wildcard socket replies leave from the address the party sends to") {
  struct Case {
    std::string description;
    const char* wildcard;
    const char* reached_at;
    const char* party;
    bool ipv6;
  };
  const std::vector<Case> cases = {
      {"IPv4", "0.0.0.0", "127.0.0.77", "127.0.0.1", false},
      {"IPv6", "::", "::1", "::1", true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    if (c.ipv6 && !have_ipv6()) continue;
    auto pool = start_pool(1);
    Call call(address(c.party), address("127.0.0.1"));
    call.legs[index(LegId::callee)].relay = pair_on(address(c.wildcard));
    call.describe(LegId::callee);
    pool->install(*call.group, call.spec);
    Endpoint reached = call.relay(LegId::callee, kRtp);
    reached.address = address(c.reached_at);
    REQUIRE(call.party(LegId::callee, kRtp).send(reached, rtp_packet({})));
    REQUIRE(call.party(LegId::caller, kRtp).receive());
    const auto reply = call.pass(LegId::caller, kRtp, rtp_packet({}));
    REQUIRE(reply);
    CHECK(reply->source.to_string() == reached.to_string());
    // RTCP has not been heard; it goes by what RTP has shown.
    const auto report = call.pass(LegId::caller, kRtcp, rtcp_packet());
    REQUIRE(report);
    CHECK(report->source.address.to_string() == reached.address.to_string());
    remove_and_settle(*pool, call);
  }
}

TEST_CASE("a descriptor that is no socket is let go and harms nobody") {
  auto pool = start_pool(1);
  Call broken, sound;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  broken.spec.legs[index(LegId::caller)].sockets = {read_end.get(), file.get()};
  pool->install(*broken.group, broken.spec);
  pool->install(*sound.group, sound.spec);
  REQUIRE(::write(write_end.get(), "x", 1) == 1);
  CHECK(eventually([&] { return pool->descriptor_errors() == 2; }));
  REQUIRE(sound.pass(LegId::caller, kRtp, rtp_packet({})));

  // Sending from it fails by name.
  broken.send(LegId::callee, kRtp, rtp_packet({}));
  CHECK(eventually([&] {
    return broken.group->stats_of(LegId::callee, kRtp)
               .drops[static_cast<size_t>(DropReason::send_failed)]
               .get() == 1;
  }));
  remove_and_settle(*pool, broken);
  remove_and_settle(*pool, sound);
  CHECK(pool->descriptor_errors() == 2);
  check_balanced(pool->counters());
}

}  // namespace
}  // namespace relay
