// The simulation under fixed seeds and one that is new in every run. What breaks a promise prints
// its seed; `RELAY_SIM_SEED=N sim` plays it again. RELAY_SIM_ROUNDS adds further new seeds.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/sim/simulation.h"

namespace relay::testing {
namespace {

constexpr int kCalls = 100;

std::vector<uint64_t> seeds() {
  if (const char* seed = std::getenv("RELAY_SIM_SEED")) return {std::strtoull(seed, nullptr, 10)};
  std::vector<uint64_t> seeds{1, 20, 300};
  const char* rounds = std::getenv("RELAY_SIM_ROUNDS");
  std::random_device random;
  for (int i = 0; i < (rounds != nullptr ? std::atoi(rounds) : 1); ++i) seeds.push_back(random());
  return seeds;
}

}  // namespace

namespace {

void play(bool with_fast_path) {
  for (const uint64_t seed : seeds()) {
    CAPTURE(seed);
    const SimulationReport report = Simulation(seed, kCalls, with_fast_path).run();
    for (const std::string& violation : report.violations) FAIL_CHECK(violation);
    // That nothing broke would mean little if nothing had happened.
    CHECK(report.calls_answered > kCalls / 2);
    CHECK(report.packets_heard > 1000 * report.calls_answered / 2);
    CHECK(report.moves + report.rebinds > 10);
    CHECK(report.holds > 5);
    CHECK(report.forks > 5);
    CHECK(report.replays > 100);
    CHECK(report.stranger_packets > 10'000);
    CHECK(report.retransmissions_answered > 10);
    CHECK((report.offloads > 2 * report.calls_answered) == with_fast_path);
    CHECK(report.returns == report.offloads);
  }
}

}  // namespace

TEST_CASE("no seed makes the relay break its promises") {
  play(false);
}

TEST_CASE("nor while flows move into a kernel and back") {
  play(true);
}

TEST_CASE("the same seed plays the same simulation") {
  const uint64_t first = Simulation(7, 20).run().trace_hash;
  CHECK(Simulation(7, 20).run().trace_hash == first);
  CHECK(Simulation(8, 20).run().trace_hash != first);
}

}  // namespace relay::testing
