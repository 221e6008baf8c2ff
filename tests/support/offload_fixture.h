// Two planes and the offloader between them, and calls whose parties' packets go the way they would
// on a host: first to the kernel's flows, and what those do not take to the slow path.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "relay/base/log.h"
#include "relay/session/offloader.h"
#include "tests/support/fake_kernel_plane.h"
#include "tests/support/fake_plane.h"
#include "tests/support/manual_clock.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rtp_packet.h"

namespace relay {

inline Endpoint endpoint(const char* address, uint16_t port) {
  return {*IpAddress::parse(address), port};
}

// Somebody who sends RTP; every packet is one sequence number on.
struct Talker {
  Endpoint at;
  uint32_t ssrc = 0;
  uint16_t sequence = 0;
};

enum class Way : uint8_t { kernel, slow_path, dropped };
struct Journey {
  Way way = Way::dropped;
  Endpoint destination;  // unless dropped
  bool teed = false;     // relayed by the kernel, and a copy came to the socket
};

struct TestCall {
  FlowGroup group;
  FlowGroupSpec spec;
  std::array<Talker, 2> parties;  // by LegId
  Talker& callee() { return parties[index(LegId::callee)]; }
  Talker& caller() { return parties[index(LegId::caller)]; }
  const Endpoint& local(LegId leg) const { return spec.legs[index(leg)].local; }
  Endpoint local_rtcp(LegId leg) const { return *local(leg).with_port_offset(1); }
};

// A clock that knows how often it was asked: looking at a session asks it.
class CountingClock final : public Clock {
 public:
  Instant now() const override {
    ++asked;
    return clock_.now();
  }
  void advance(Duration step) { clock_.advance(step); }
  mutable size_t asked = 0;

 private:
  ManualClock clock_;
};

class OffloadFixture {
 public:
  OffloadFixture() : slow(clock), kernel(clock), offloader(slow, kernel, clock) {
    log_set_level(LogLevel::critical);  // flows taken back are part of the play
  }

  // A call number `n` of two signalled parties; not installed so far.
  std::unique_ptr<TestCall> make_call(uint16_t n = 0) const {
    auto call = std::make_unique<TestCall>();
    const auto port = static_cast<uint16_t>(20000 + 4 * n);
    call->spec.complete = true;
    for (const LegId leg : kLegs) {
      const bool is_callee = leg == LegId::callee;
      LegSpec& spec = call->spec.legs[index(leg)];
      const auto local_port = static_cast<uint16_t>(port + (is_callee ? 0 : 2));
      spec.local = endpoint("192.0.2.1", local_port);
      spec.sockets = {(1 << 24) + local_port, (1 << 24) + local_port + 1};
      const Endpoint at = endpoint(is_callee ? "203.0.113.1" : "198.51.100.1", port);
      spec.signalled = at;
      spec.signalled_count = 1;
      spec.with_codecs = true;
      call->parties[index(leg)] = {at, is_callee ? 0xCA11EEU : 0xCA11E5U, 100};
    }
    return call;
  }
  void install(TestCall& call) { offloader.install(call.group, call.spec); }
  void update(TestCall& call) { offloader.update(call.group, call.spec); }
  // What a re-INVITE says: an endpoint once more, or another one.
  void signal(TestCall& call, LegId leg, const Endpoint& media) {
    LegSpec& spec = call.spec.legs[index(leg)];
    spec.signalled = media;
    ++spec.signalled_count;
    update(call);
  }

  // The next packet of `talker` to that leg's port.
  Journey send(TestCall& call, LegId leg, Talker& talker) {
    const auto bytes = rtp_packet(++talker.sequence, talker.ssrc);
    return send_bytes(call, leg, talker.at, bytes);
  }
  Journey send_bytes(TestCall& call, LegId leg, const Endpoint& source, Bytes bytes) {
    return send_bytes(call.group, call.local(leg), leg, source, bytes);
  }
  // A receiver report, from the port above the party's and to the one above ours, or muxed.
  Journey send_rtcp(TestCall& call, LegId leg, bool muxed = false) {
    const Endpoint at = call.parties[index(leg)].at;
    const auto bytes = testing::rtcp_packet(call.parties[index(leg)].ssrc);
    if (muxed) return send_bytes(call, leg, at, bytes);
    return send_bytes(call.group, call.local_rtcp(leg), leg, *at.with_port_offset(1), bytes,
                      Component::rtcp);
  }
  Journey send_bytes(FlowGroup& group, const Endpoint& local, LegId leg, const Endpoint& source,
                     Bytes bytes, Component component = Component::rtp) {
    const auto outcome = kernel.receive(source, local, bytes);
    if (outcome.fate == FakeKernelPlane::Fate::relayed) {
      return {Way::kernel, outcome.destination, outcome.teed};
    }
    if (!outcome.goes_to_socket()) return {};
    const Verdict verdict = slow.deliver(group, {leg, component, source, bytes});
    if (verdict.kind != Verdict::Kind::forward) return {};
    return {Way::slow_path, verdict.destination};
  }
  void pass(Duration time) {
    for (; time > Duration{0}; time -= kTick) {
      clock.advance(kTick);
      offloader.tick();
    }
  }
  // Both parties, or one of them, send a packet every 20 ms.
  void talk(TestCall& call, Duration time) {
    for (; time > Duration{0}; time -= kTick) {
      for (const LegId leg : kLegs) send(call, leg, call.parties[index(leg)]);
      pass(kTick);
    }
  }
  void talk(TestCall& call, LegId leg, Duration time) {
    for (; time > Duration{0}; time -= kTick) {
      send(call, leg, call.parties[index(leg)]);
      pass(kTick);
    }
  }
  // "kernel", or why not.
  std::string path(const TestCall& call, LegId leg, Component component = Component::rtp) const {
    const FlowPath path = offloader.path_of(call.group, leg, component);
    return path.in_kernel ? "kernel" : std::string(path.reason);
  }
  bool both_in_kernel(const TestCall& call) const {
    return path(call, LegId::callee) == "kernel" && path(call, LegId::caller) == "kernel";
  }
  // An installed call that has come into the kernel.
  std::unique_ptr<TestCall> offloaded_call(uint16_t n = 0) {
    auto call = make_call(n);
    install(*call);
    talk(*call, std::chrono::milliseconds(200));
    return call;
  }

  static constexpr Duration kTick = std::chrono::milliseconds(20);

  CountingClock clock;
  FakePlane slow;
  FakeKernelPlane kernel;
  Offloader offloader;
};

}  // namespace relay
