// `&& C` with real threads and sockets: copies arrive, and sessions end in any order.
#include <doctest/doctest.h>

#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "relay/dataplane/worker_pool.h"
#include "relay/session/session_manager.h"
#include "tests/support/worker_call.h"

namespace relay {
namespace {

using testing::eventually;
using testing::Packet;
using testing::UdpPair;
using namespace std::chrono_literals;

SessionSettings loopback_settings() {
  SessionSettings settings;
  settings.local_addresses = {{"", *IpAddress::parse("127.0.0.1"), ""}};
  settings.ports.min = 42000;
  settings.ports.max = 43999;
  return settings;
}

// A session and its parties: [0] the callee, [1] the caller.
struct Parties {
  std::string call_id;
  std::vector<UdpPair> sockets;
  Session* session = nullptr;
};

class ForkLab {
 public:
  explicit ForkLab(unsigned threads)
      : pool(testing::start_pool(threads)),
        sessions(loopback_settings(), SessionLimits{}, factory, *pool, clock) {}

  Parties call() {
    Parties parties;
    parties.call_id = "call-" + std::to_string(++calls_);
    for (int i = 0; i < 2; ++i) {
      parties.sockets.push_back(testing::pair_on(*IpAddress::parse("127.0.0.1")));
    }
    parties.session = ask(parties, LegId::caller, false).session;
    ask(parties, LegId::callee, false);
    return parties;
  }
  // Describes one of the parties.
  MediaAnswer ask(Parties& parties, LegId described, bool new_port) {
    MediaRequest request;
    request.call_id = parties.call_id;
    request.from_tag = "from";
    request.to_tag = "to";
    request.media = parties.sockets[index(described)][0].local();
    request.codecs = std::string(1, '\0');
    request.new_port = new_port;
    const auto answer =
        described == LegId::caller ? sessions.update(request) : sessions.lookup(request);
    REQUIRE(answer);
    return *answer;
  }
  void end(const Parties& parties) {
    CHECK(sessions.remove(parties.call_id, "from", std::nullopt, false) == 1);
  }
  void send(Parties& from, LegId leg, Component component, const Packet& packet) {
    Endpoint to = from.session->leg_spec(leg).local;
    if (component == Component::rtcp) ++to.port;
    REQUIRE(from.sockets[index(leg)][index(component)].send(to, packet));
  }

  SteadyClock clock;
  KernelSocketFactory factory;
  std::unique_ptr<WorkerPool> pool;
  SessionManager sessions;

 private:
  int calls_ = 0;
};

TEST_CASE("a fork copies RTP and RTCP byte for byte, from the target's ports") {
  ForkLab lab(2);
  Parties source = lab.call(), target = lab.call();
  REQUIRE(lab.sessions.fork(*source.session, LegId::caller, *target.session, LegId::callee));
  CHECK_FALSE(lab.sessions.fork(*source.session, LegId::caller, *source.session, LegId::caller));
  // Either's own thread may be a moment behind.
  RtpStreamState ignored;
  const auto ticket = lab.pool->copy_stream(*source.session->flows, LegId::caller, ignored);
  REQUIRE(eventually([&] { return lab.pool->settled(ticket); }));
  for (const LegId leg : kLegs) {
    const FlowGroup& flows = *target.session->flows;
    REQUIRE(eventually([&] { return flows.latch_of(leg).egress.valid(); }));
  }
  for (const LegId leg : kLegs) {
    for (const Component component : kComponents) {
      CAPTURE(index(leg));
      CAPTURE(index(component));
      const Packet packet = component == Component::rtp
                                ? testing::rtp_packet({.ssrc = static_cast<uint32_t>(leg) + 1})
                                : testing::rtcp_packet(static_cast<uint32_t>(leg) + 1);
      lab.send(source, leg, component, packet);
      const auto heard = source.sockets[index(other(leg))][index(component)].receive();
      const auto copied = target.sockets[index(other(leg))][index(component)].receive();
      REQUIRE(heard);
      REQUIRE(copied);
      CHECK(heard->bytes == packet);
      CHECK(copied->bytes == packet);
      Endpoint from = target.session->leg_spec(other(leg)).local;
      if (component == Component::rtcp) ++from.port;
      CHECK(copied->source == from);
    }
  }
  lab.end(target);
  CHECK(eventually([&] { return lab.sessions.expire(), lab.sessions.unsettled() == 0; }));
  lab.send(source, LegId::caller, Component::rtp, testing::rtp_packet({.sequence = 2}));
  CHECK(source.sockets[0][0].receive());
  CHECK(lab.pool->counters().forked == 4);
  lab.end(source);
  CHECK(eventually([&] { return lab.sessions.expire(), lab.sessions.ports().taken() == 0; }));
  testing::check_balanced(lab.pool->counters());
}

// Sockets, flows and taps of one thread are used by others while all of them come and go. Whatever
// is freed too early shows under a sanitizer; what is never freed shows here.
TEST_CASE("forks and their sessions end in any order while packets flow") {
  ForkLab lab(4);
  std::mt19937 random(7);
  const auto pick = [&](size_t below) { return static_cast<size_t>(random() % below); };
  std::deque<Parties> calls;
  uint16_t sequence = 0;
  for (int round = 0; round < 1500; ++round) {
    const size_t action = pick(10);
    if (calls.size() < 3 || (action < 2 && calls.size() < 8)) {
      calls.push_back(lab.call());
    } else if (action < 5) {
      Parties &source = calls[pick(calls.size())], &target = calls[pick(calls.size())];
      lab.sessions.fork(*source.session, kLegs[pick(2)], *target.session, kLegs[pick(2)]);
    } else if (action < 6) {
      lab.ask(calls[pick(calls.size())], kLegs[pick(2)], true);
    } else if (action < 7) {
      const size_t gone = pick(calls.size());
      lab.end(calls[gone]);
      calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(gone));
    } else {
      for (Parties& parties : calls) {
        for (const LegId leg : kLegs) {
          lab.send(parties, leg, kComponents[pick(2)],
                   testing::rtp_packet({.sequence = ++sequence}));
        }
      }
    }
    if (round % 16 == 0) lab.sessions.expire();
  }
  const PlaneCounters counters = lab.pool->counters();
  CHECK(counters.forked > 0);
  CHECK(counters.drops[static_cast<size_t>(DropReason::forked)] > 0);
  lab.sessions.remove_all();
  CHECK(eventually([&] { return lab.sessions.expire(), lab.sessions.unsettled() == 0; }));
  CHECK(lab.sessions.ports().taken() == 0);
  testing::check_balanced(lab.pool->counters());
}

}  // namespace
}  // namespace relay
