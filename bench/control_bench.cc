// What the control thread does once a second for calls that are up and in the kernel, with nothing
// behind it: no socket, no kernel, imagined packets.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "relay/control/dispatcher.h"
#include "relay/session/offloader.h"
#include "tests/support/fake_kernel_plane.h"
#include "tests/support/fake_plane.h"
#include "tests/support/fake_sockets.h"
#include "tests/support/manual_clock.h"
#include "tests/support/rtp_packet.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

// Each has ports for 16,128 calls.
constexpr int kAddresses = 7;
std::string local_address(int number) {
  return fmt::format("192.0.2.{}", 100 + number % kAddresses);
}

Config with_all_ports() {
  Config config;
  for (int i = 0; i < kAddresses; ++i) {
    config.startup.local_addresses.push_back({"", *IpAddress::parse(local_address(i)), ""});
  }
  config.startup.port_min = 1024;
  config.startup.port_max = 65535;
  config.startup.sequential_ports = true;
  return config;
}

class Relay {
 public:
  explicit Relay(int calls) {
    log_set_level(LogLevel::error);
    for (int i = 0; i < calls; ++i) set_up(i);
    talk();
    for (int i = 0; i < 20; ++i) {
      clock_.advance(Offloader::kTick);
      offloader_.tick();
    }
    if (offloader_.flows_in_kernel() != 2 * static_cast<size_t>(calls)) {
      fmt::print(stderr, "{} flows in the kernel\n", offloader_.flows_in_kernel());
      std::exit(1);
    }
  }

  // A packet of each party.
  void talk() {
    ++sequence_;
    for (const Party& party : parties_) {
      const auto bytes = rtp_packet(sequence_, party.ssrc);
      const LegSpec& leg = party.session->leg_spec(party.leg);
      if (kernel_.receive(*leg.signalled, leg.local, bytes).goes_to_socket()) {
        slow_path_.deliver(*party.session->flows,
                           {party.leg, Component::rtp, *leg.signalled, bytes});
      }
    }
  }
  void pass_a_second() { clock_.advance(1s); }
  void expire() { sessions_.expire(); }
  void tick() {
    offloader_.tick();
    dispatcher_.tick();
  }
  void sum_up() { benchmark::DoNotOptimize(offloader_.counters()); }

 private:
  struct Party {
    Session* session;
    LegId leg;
    uint32_t ssrc;
  };

  void set_up(int number) {
    const std::string call_id = fmt::format("call-{}", number);
    const std::string local = local_address(number);
    const int port = 2000 + 2 * (number % 30'000);
    const int host = 1 + 2 * (number / 30'000);
    dispatcher_.execute(fmt::format("Uc0l{} {} 203.0.113.{} {} a", local, call_id, host, port), {});
    dispatcher_.execute(
        fmt::format("Lc0l{} {} 203.0.113.{} {} a b", local, call_id, host + 1, port), {});
    Session* session = sessions_.table().of_call(call_id).at(0);
    for (const LegId leg : kLegs) {
      parties_.push_back({session, leg, static_cast<uint32_t>(parties_.size())});
    }
  }

  const Config config_ = with_all_ports();
  ManualClock clock_;
  FakeSockets sockets_;
  FakePlane slow_path_{clock_};
  FakeKernelPlane kernel_{clock_};
  Offloader offloader_{slow_path_, kernel_, clock_};
  SessionManager sessions_{to_session_settings(config_.startup), to_session_limits(config_.runtime),
                           sockets_, offloader_, clock_};
  Dispatcher dispatcher_{config_.startup, sessions_, offloader_, clock_};
  std::vector<Party> parties_;
  uint16_t sequence_ = 0;
};

void a_second(benchmark::State& state) {
  Relay relay(static_cast<int>(state.range(0)));
  int seconds = 0;
  for (auto _ : state) {
    state.PauseTiming();
    relay.pass_a_second();
    if (++seconds % 20 == 0) relay.talk();  // or they time out
    state.ResumeTiming();
    relay.expire();
    relay.tick();
  }
}
BENCHMARK(a_second)->Arg(4500)->Arg(10'000)->Arg(100'000)->Iterations(240)->Unit(
    benchmark::kMicrosecond);

void sum_of_counters(benchmark::State& state) {
  Relay relay(static_cast<int>(state.range(0)));
  for (auto _ : state) relay.sum_up();
}
BENCHMARK(sum_of_counters)->Arg(4500)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace relay

BENCHMARK_MAIN();
