// decide() and the kernel program side by side on the same packets of a latched call: whatever the
// kernel relays, decide() would have relayed to the same place; whatever it drops, decide() would
// have dropped. What it punts is decide()'s anyway.
#include <random>

#include "relay/flow/decide.h"
#include "tests/fastpath/loaded_program.h"

namespace relay::testing {
namespace {

const Endpoint kCaller = at("192.0.2.10", 40000);
const Endpoint kCallee = at("127.0.0.7", 50000);

FlowGroupSpec latched_call() {
  FlowGroupSpec spec;
  spec.complete = true;
  for (LegSpec& leg : spec.legs) {
    leg.sockets = {10, 11};
    leg.signalled_count = 1;
    leg.with_codecs = true;
  }
  spec.legs[index(LegId::caller)].signalled = kCaller;
  spec.legs[index(LegId::callee)].signalled = kCallee;
  return spec;
}

KernelFlowSpec offloaded_from_caller() {
  KernelFlowSpec spec = flow_v4();
  spec.source = kCaller;
  spec.destination = kCallee;
  spec.rtcp = {spec.egress, kCallee};  // the callee's habit is not known: it leaves as it came
  return spec;
}

Packet random_packet(std::mt19937& random) {
  Packet packet;
  switch (random() % 5) {
    case 0:
      packet = rtcp_packet();
      break;
    case 1:
      packet = bytes({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, 20);
      break;
    case 2:
      packet = bytes({22, 254, 253}, 40);
      break;
    default:
      packet = rtp_packet({.sequence = static_cast<uint16_t>(random()), .payload_bytes = 20});
  }
  if (random() % 3 == 0) packet[random() % 4] = static_cast<std::byte>(random());
  if (random() % 4 == 0) packet.resize(random() % (packet.size() + 1));
  return packet;
}

Endpoint random_source(std::mt19937& random) {
  switch (random() % 6) {
    case 0:
      return at("192.0.2.10", 40001);
    case 1:
      return at("203.0.113.66", 40000);
    default:
      return kCaller;
  }
}

}  // namespace

TEST_CASE("the kernel relays and drops nothing that decide() would not") {
  LoadedProgram loaded;
  FastpathConfig config{};
  config.punt_interval_ns = 3'600'000'000'000;
  config.punt_burst_ns = config.punt_interval_ns * 20;
  loaded.configure(config);
  const KernelFlowSpec spec = offloaded_from_caller();
  const KernelFlowId id = loaded.install(spec);
  FlowGroup group;
  Instant now = from_ns(1'000'000'000'000);
  apply_spec(group, latched_call(), now);
  const Packet steady = rtp_packet({.sequence = 9});
  std::mt19937 random(3550);
  int relayed = 0, dropped = 0, punted = 0;
  for (int i = 0; i < 5000; ++i) {
    decide(group, {LegId::caller, Component::rtp, kCaller, steady}, now);  // the holder is alive
    const Packet packet = random_packet(random);
    const Endpoint source = random_source(random);
    const Verdict verdict = decide(group, {LegId::caller, Component::rtp, source, packet}, now);
    const int kernel = loaded.run(build_frame({source, spec.local, packet})).verdict;
    CAPTURE(i);
    if (kernel == kRedirect) {
      ++relayed;
      REQUIRE(verdict.kind == Verdict::Kind::forward);
      REQUIRE(verdict.destination == kCallee);
      REQUIRE(verdict.egress_component == Component::rtp);
    } else if (kernel == kDrop) {
      ++dropped;
      REQUIRE(verdict.kind == Verdict::Kind::drop);
      REQUIRE(verdict.reason == DropReason::source_refused);
    } else {
      ++punted;
    }
    now += 20ms;
  }
  CHECK(relayed > 1000);
  CHECK(dropped > 1000);
  CHECK(punted > 500);
  const KernelFlowReport report = loaded.flows().remove(id, steady_now());
  CHECK(balanced(report.stats));
  CHECK(report.stats.drops[kernel_drop_source_refused] == static_cast<uint64_t>(dropped));
}

}  // namespace relay::testing
