#include "relay/fastpath/self_test.h"

#include "relay/fastpath/test_frame.h"

namespace relay {
namespace {

constexpr int kNext = -1, kDrop = 2, kRedirect = 7;

// Addresses that no packet on a wire has, and a way out that every host has.
KernelFlowSpec flow_under_test() {
  const auto at = [](const char* address, uint16_t port) {
    return Endpoint{*IpAddress::parse(address), port};
  };
  KernelFlowSpec spec;
  spec.local = at("0.0.0.1", 2);
  spec.source = at("0.0.0.2", 4);
  spec.egress = at("127.0.0.1", 6);
  spec.destination = at("127.0.0.1", 8);
  spec.tos = 184;
  return spec;
}

std::vector<std::byte> payload(std::initializer_list<uint8_t> head) {
  std::vector<std::byte> bytes(172);
  size_t i = 0;
  for (const uint8_t value : head) bytes[i++] = static_cast<std::byte>(value);
  return bytes;
}

Result<void> expect(const char* what, int verdict, int expected) {
  if (verdict == expected) return {};
  return fail(std::string("self-test: ") + what + " met verdict " + std::to_string(verdict) +
              ", expected " + std::to_string(expected));
}

Result<void> test_relaying(const BpfProgram& program, const KernelFlowSpec& spec) {
  const TestFrame rtp{spec.source, spec.local, payload({0x80, 0, 0, 1})};
  const auto run = program.test_run(build_frame(rtp));
  if (!run) return tl::unexpected<Error>(run.error());
  if (auto met = expect("RTP of the flow", run->verdict, kRedirect); !met) return met;
  const auto relayed = read_frame(run->frame);
  if (!relayed) return fail("self-test: a relayed packet left with a wrong length or checksum");
  if (relayed->source != spec.egress || relayed->destination != spec.destination ||
      relayed->tos != spec.tos || relayed->payload != rtp.payload) {
    return fail("self-test: a packet relayed to " + spec.destination.to_string() + " left from " +
                relayed->source.to_string() + " to " + relayed->destination.to_string());
  }
  return {};
}

Result<void> test_refusing(const BpfProgram& program, const KernelFlowSpec& spec) {
  const TestFrame stun{spec.source, spec.local, payload({0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42})};
  const auto punted = program.test_run(build_frame(stun));
  if (!punted) return tl::unexpected<Error>(punted.error());
  if (auto met = expect("STUN", punted->verdict, kNext); !met) return met;
  TestFrame stranger{spec.source, spec.local, payload({0x80, 0, 0, 2})};
  ++stranger.source.port;
  const auto refused = program.test_run(build_frame(stranger));
  if (!refused) return tl::unexpected<Error>(refused.error());
  return expect("RTP of a stranger", refused->verdict == kDrop ? kNext : refused->verdict, kNext);
}

}  // namespace

Result<void> self_test(const BpfProgram& program, FlowTable& flows, Instant now) {
  const KernelFlowSpec spec = flow_under_test();
  const auto id = flows.install(spec, RtpStreamState{}, now);
  if (!id) return tl::unexpected<Error>(with_context("self-test", id.error()));
  Result<void> result =
      test_relaying(program, spec).and_then([&] { return test_refusing(program, spec); });
  const KernelFlowReport report = flows.remove(*id, now);
  if (!result) return result;
  if (report.stats.received != 3 || report.stats.forwarded != 1 ||
      report.stream.run_received != 1) {
    return fail("self-test: counted " + std::to_string(report.stats.forwarded) + " of " +
                std::to_string(report.stats.received) + " packets as relayed, expected 1 of 3");
  }
  return {};
}

}  // namespace relay
