// What the relay itself adds to a packet's two system calls. Run the release preset's build:
//   cmake --preset release -DRELAY_TESTS=ON && cmake --build --preset release
//   build/release/bin/dataplane_bench
#include <benchmark/benchmark.h>

#include <memory>

#include "relay/dataplane/relay_packet.h"
#include "tests/support/packet_builder.h"

namespace relay {
namespace {

class NullSender final : public PacketSender {
 public:
  int send(FlowGroup&, LegId, Component, const Endpoint& destination, Bytes bytes) override {
    benchmark::DoNotOptimize(destination);
    benchmark::DoNotOptimize(bytes);
    return 0;
  }
};

const Endpoint kCaller{*IpAddress::parse("192.0.2.1"), 5000};
const Endpoint kStranger{*IpAddress::parse("203.0.113.3"), 7000};

std::unique_ptr<FlowGroup> latched_group() {
  FlowGroupSpec spec;
  spec.complete = true;
  for (LegSpec& leg : spec.legs) {
    leg.sockets = {1000, 1001};
    leg.local = {*IpAddress::parse("192.0.2.100"), 35000};
    leg.signalled = kCaller;
    leg.signalled_count = 1;
    leg.with_codecs = true;
  }
  auto group = std::make_unique<FlowGroup>();
  apply_spec(*group, spec, from_ns(1'000'000'000));
  return group;
}

// Sequence, timestamp and clock move as in a 20 ms stream.
class Stream {
 public:
  Bytes next() {
    const auto put = [this](size_t at, uint32_t value, int bytes) {
      for (int i = 0; i < bytes; ++i) {
        packet_[at + static_cast<size_t>(i)] =
            static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
      }
    };
    put(2, ++sequence_ & 0xFFFF, 2);
    put(4, sequence_ * 160, 4);
    now_ += std::chrono::milliseconds(20);
    return packet_;
  }
  Instant now() const { return now_; }

 private:
  testing::Packet packet_ = testing::rtp_packet({});
  uint32_t sequence_ = 0;
  Instant now_ = from_ns(2'000'000'000);
};

void bench_demux(benchmark::State& state) {
  Stream stream;
  for (auto _ : state) benchmark::DoNotOptimize(demux(stream.next()));
}
BENCHMARK(bench_demux);

void bench_analyser(benchmark::State& state) {
  Stream stream;
  RtpAnalyser analyser;
  for (auto _ : state) {
    const Bytes bytes = stream.next();
    analyser.on_packet(bytes, stream.now());
    benchmark::DoNotOptimize(analyser.totals());
  }
}
BENCHMARK(bench_analyser);

// The holder's packets, and a spray of sources that never were signalled.
void bench_latch(benchmark::State& state) {
  RtpLatch latch;
  LegSpec leg;
  leg.signalled = kCaller;
  leg.signalled_count = 1;
  leg.with_codecs = true;
  Instant now = from_ns(1'000'000'000);
  latch.signal(leg, now);
  const bool spray = state.range(0) != 0;
  LatchPacket packet{kCaller, PacketKind::rtp, 1, 0, 0};
  for (auto _ : state) {
    ++packet.sequence;
    now += std::chrono::milliseconds(20);
    if (spray) packet.source = Endpoint{kStranger.address, packet.sequence};
    benchmark::DoNotOptimize(latch.on_packet(packet, now));
  }
}
BENCHMARK(bench_latch)->ArgName("spray")->Arg(0)->Arg(1);

void bench_decide(benchmark::State& state) {
  Stream stream;
  const auto group = latched_group();
  for (auto _ : state) {
    const Bytes bytes = stream.next();
    benchmark::DoNotOptimize(
        decide(*group, {LegId::caller, Component::rtp, kCaller, bytes}, stream.now()));
  }
}
BENCHMARK(bench_decide);

void bench_decide_stranger(benchmark::State& state) {
  Stream stream;
  const auto group = latched_group();
  for (auto _ : state) {
    const Bytes bytes = stream.next();
    benchmark::DoNotOptimize(
        decide(*group, {LegId::caller, Component::rtp, kStranger, bytes}, stream.now()));
  }
}
BENCHMARK(bench_decide_stranger);

void bench_relay_packet(benchmark::State& state) {
  Stream stream;
  const auto group = latched_group();
  NullSender sender;
  PlaneTotals totals;
  for (auto _ : state) {
    const Bytes bytes = stream.next();
    benchmark::DoNotOptimize(relay_packet(*group, {LegId::caller, Component::rtp, kCaller, bytes},
                                          stream.now(), sender, totals));
  }
}
BENCHMARK(bench_relay_packet);

void bench_clock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(steady_now());
}
BENCHMARK(bench_clock);

}  // namespace
}  // namespace relay

BENCHMARK_MAIN();
