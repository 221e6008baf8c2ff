// The control thread's tables with many calls in them: finding, adding and taking a session, and a
// pair of ports out of a range that is nearly used up. No sockets behind them.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "relay/session/session_table.h"

namespace relay {
namespace {

std::string call_id(int64_t number) {
  return fmt::format("{:08x}-4c1d-11ef-9f3a@sip.example.com", number * 2654435761);
}

std::unique_ptr<Session> session(int64_t number) {
  auto made = std::make_unique<Session>();
  made->call_id = call_id(number);
  made->from_tag = "a1b2c3d4;1";
  return made;
}

std::unique_ptr<SessionTable> table_of(int64_t calls) {
  auto table = std::make_unique<SessionTable>();
  for (int64_t i = 0; i < calls; ++i) table->add(session(i));
  return table;
}

void bench_find(benchmark::State& state) {
  const auto table = table_of(state.range(0));
  std::vector<std::string> wanted;  // all over the table
  for (int64_t i = 0; i < 1024; ++i) wanted.push_back(call_id(i * 7919 % state.range(0)));
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table->find(wanted[next++ % 1024], "a1b2c3d4;1", "e5f6a7b8;1"));
  }
}
BENCHMARK(bench_find)->Arg(1000)->Arg(10'000)->Arg(100'000);

void bench_add_and_take(benchmark::State& state) {
  const auto table = table_of(state.range(0));
  auto moving = session(-1);
  for (auto _ : state) moving = table->take(table->add(std::move(moving)));
}
BENCHMARK(bench_add_and_take)->Arg(1000)->Arg(10'000)->Arg(100'000);

// Opens nothing, and closes nothing. Every tenth port, or none, belongs to somebody else.
class NoSockets final : public SocketFactory {
 public:
  bool with_busy = false;

  tl::expected<SocketPair, OpenFailure> open_pair(const Endpoint& rtp, int) override {
    if (with_busy && rtp.port % 20 == 0) {
      return tl::unexpected<OpenFailure>({OpenFailure::Kind::port_busy, "in use"});
    }
    return SocketPair{};
  }
  bool set_tos(int, Family, int) override { return true; }
  std::optional<IpAddress> address_towards(const IpAddress&) override { return std::nullopt; }
  bool is_local(const IpAddress&) override { return true; }
};

// `range`: how many of the 27,000 pairs are left, in order or not, with others' ports or without.
void bench_port_pair(benchmark::State& state) {
  NoSockets sockets;
  sockets.with_busy = state.range(2) != 0;
  PortSettings settings;
  settings.min = 10'000;
  settings.max = 63'999;
  settings.sequential = state.range(1) != 0;
  settings.seed = 1;
  PortPool pool(settings, sockets);
  const IpAddress local = *IpAddress::parse("192.0.2.1");
  const size_t others = sockets.with_busy ? pool.pairs_per_address() / 10 : 0;
  std::vector<PortPair> taken;
  while (pool.taken() + others + static_cast<size_t>(state.range(0)) < pool.pairs_per_address()) {
    auto pair = pool.open(local);
    if (!pair) {
      std::fprintf(stderr, "%s\n", pair.error().message.c_str());
      std::exit(1);
    }
    taken.push_back(std::move(*pair));
  }
  for (auto _ : state) benchmark::DoNotOptimize(pool.open(local));
}
BENCHMARK(bench_port_pair)
    ->ArgNames({"left", "in_order", "others"})
    ->ArgsProduct({{20'000, 2700, 27}, {0, 1}, {0, 1}});

}  // namespace
}  // namespace relay

BENCHMARK_MAIN();
