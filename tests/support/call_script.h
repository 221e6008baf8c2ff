// One `.call` file: a call as a proxy and its parties lead it, one step a line.
// tests/scenario/README.md describes the language.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

// `setup OPTION…`: the relay's command line; `-l 192.0.2.1` without this step.
struct SetupStep {
  std::vector<std::string> options;
};
// `party NAME ENDPOINT`: the name stands for the endpoint from here on.
struct PartyStep {
  std::string name, endpoint;
};
// `command TEXT expect REPLY`
struct CommandStep {
  std::string text;
  std::vector<std::string> reply;  // words; `port NAME` binds or compares
};
// `send FROM -> TO KIND … expect OUTCOME`
struct SendStep {
  std::string from, to;
  std::string kind;  // rtp rtcp rtcp-bye stun dtls udptl raw
  RtpFields rtp;
  Packet raw;
  int times = 1;
  Duration every = std::chrono::milliseconds(20);
  std::string outcome;      // forwarded, consumed, drop or lost
  std::string detail;       // who gets it, or why it is dropped
  std::string leaves_from;  // empty: not asked
};
// `advance DURATION`
struct AdvanceStep {
  Duration step{};
};
// `expect WHAT VALUE…`
struct ExpectStep {
  std::string what;
  std::vector<std::string> values;
};
// `occupy PORT`: another program holds it. `forget NAME…`: the port may be given out again.
// `shutdown slow`
struct PlainStep {
  std::string what;
  std::vector<std::string> values;
};

using Step =
    std::variant<SetupStep, PartyStep, CommandStep, SendStep, AdvanceStep, ExpectStep, PlainStep>;

struct ScriptLine {
  size_t number = 0;
  Step step;
};

// Errors read `line N: …`.
Result<std::vector<ScriptLine>> parse_call_script(std::string_view text);

std::optional<Duration> parse_duration(std::string_view text);  // 5s, 20ms
std::vector<std::string> split_words(std::string_view text);

}  // namespace relay::testing
