// What reading a command and writing one costs.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "ctlproto/format.h"
#include "ctlproto/parse.h"
#include "ctlproto/reply.h"

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kOffer =
    "Uc0,8,101 a84b4c76e66710@pc33.example 192.0.2.10 40000 1928301774;1"sv;
constexpr std::string_view kOfferIpv6 =
    "UEI6c0,8,101 a84b4c76e66710@pc33.example 2001:db8::5 40000 1928301774;1"sv;
constexpr std::string_view kAnswer =
    "Lc0,8,101 a84b4c76e66710@pc33.example 203.0.113.20 50000 1928301774;1 a6c85cf;1"sv;
constexpr std::string_view kDelete = "D a84b4c76e66710@pc33.example 1928301774 a6c85cf"sv;
constexpr std::string_view kSubCommands =
    "U a84b4c76e66710@pc33.example 192.0.2.10 40000 1928301774 a6c85cf"
    " && L 203.0.113.20 50000 && S ttl=90"sv;
constexpr std::string_view kRefused =
    "Uq a84b4c76e66710@pc33.example 192.0.2.10 40000 1928301774;1"sv;

void parse(benchmark::State& state, std::string_view command) {
  for (auto _ : state) benchmark::DoNotOptimize(ctlproto::parse_request(command));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(parse, offer, kOffer);
BENCHMARK_CAPTURE(parse, offer_ipv6, kOfferIpv6);
BENCHMARK_CAPTURE(parse, answer, kAnswer);
BENCHMARK_CAPTURE(parse, delete_session, kDelete);
BENCHMARK_CAPTURE(parse, subcommands, kSubCommands);
BENCHMARK_CAPTURE(parse, refused, kRefused);

// A datagram as large as may be, all of it one token, or all of it letters.
void parse_longest(benchmark::State& state, char filler) {
  const std::string command =
      "U" + std::string(ctlproto::kCommandBytesMax - 30, filler) + " c 192.0.2.10 40000 1928301774";
  parse(state, command);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(command.size()));
}
BENCHMARK_CAPTURE(parse_longest, letters, '6');
BENCHMARK_CAPTURE(parse_longest, nuls, '\0');

void split_cookie(benchmark::State& state) {
  const std::string datagram = "2237180883_1285787416 " + std::string(kOffer);
  for (auto _ : state) benchmark::DoNotOptimize(ctlproto::split_cookie(datagram));
}
BENCHMARK(split_cookie);

void format(benchmark::State& state, std::string_view command) {
  const auto request = ctlproto::parse_request(command);
  if (!request) {
    state.SkipWithError("the command does not parse");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(ctlproto::format_request(*request));
}
BENCHMARK_CAPTURE(format, offer, kOffer);
BENCHMARK_CAPTURE(format, subcommands, kSubCommands);

void format_port_reply(benchmark::State& state) {
  const ctlproto::PortReply reply{35000, "198.51.100.1", false};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ctlproto::format_reply(ctlproto::format_port(reply), {}));
  }
}
BENCHMARK(format_port_reply);

}  // namespace

BENCHMARK_MAIN();
