// Runs a `.call` script against the relay on one thread; see call_script.h for its steps.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/call_script.h"
#include "tests/support/sim_relay.h"

namespace relay::testing {

class Scenario {
 public:
  Scenario() = default;
  // What went wrong, as `line N: …`; nothing when all went as the script expects. At the end the
  // counters must balance, and after deleting every session all ports must be back.
  std::optional<std::string> run(std::string_view script);

 private:
  using Outcome = Result<void>;
  struct Departure {
    Endpoint from, to;
  };

  Outcome start();
  Outcome execute(const SetupStep& step);
  Outcome execute(const PartyStep& step);
  Outcome execute(const CommandStep& step);
  Outcome execute(const SendStep& step);
  Outcome execute(const AdvanceStep& step);
  Outcome execute(const ExpectStep& step);
  Outcome execute(const PlainStep& step);
  Outcome send_once(const SendStep& step, const Packet& packet);
  Outcome check_departure(const SendStep& step);
  Outcome check_left(const std::vector<std::string>& expected);
  Outcome bind(const std::string& name, const std::string& port, const std::string& address);
  Outcome finish();
  // A party, a port such as `P1` or `P1+1`, or an address and port.
  Result<Endpoint> resolve(const std::string& text) const;

  std::vector<std::string> options_{"-l", "192.0.2.1"};
  std::chrono::seconds fork_grace_{0};
  std::unique_ptr<SimRelay> relay_;
  std::map<std::string, Endpoint> names_;  // parties and ports
  std::map<std::string, Endpoint> ports_;  // only ports
  std::vector<Departure> departures_;      // of the packet sent last
};

// The file's script run; a failure reads `FILE:LINE: …`.
std::optional<std::string> run_call_file(const std::filesystem::path& file);

}  // namespace relay::testing
