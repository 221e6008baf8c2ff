// The command line: rtpproxy's options, and long ones for what it has no letter for.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/config.h"
#include "relay/config/settings.h"
#include "relay/config/voice_config.h"

namespace relay {

// The command line asked for a text and no daemon; the exit status is 0.
struct PrintAndExit {
  enum class What : uint8_t {
    text,               // print `text` to standard output
    protocol_versions,  // -v: print the control protocol versions that VF knows
  };
  What what = What::text;
  std::string text;  // ends in a line end
  // --check: of which the caller sees whether their files and secrets can be read; the exit status
  // is 1 if not.
  VoiceConfig voice{};
};

using CommandLine = std::variant<Config, PrintAndExit>;

// Reads the TOML file too if --config names one. Blocks on name resolution. Uses getopt(3)'s
// global state: one thread at a time. On error print the message and exit 1.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);
Result<CommandLine> parse_command_line(int argc, const char* const* argv, bool superuser);

std::string help_text();
std::string version_text();

}  // namespace relay
