// One thing somebody asked for, before it is checked: an option of the command line or a key of
// the TOML file. Both kinds go through the same checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace relay {

enum class OptionId : uint8_t {
#define OPTION(id, letter, name, argument, by_default, help) id,
#include "relay/config/options.def"
#undef OPTION
};

struct Setting {
  OptionId option{};
  std::string value;   // flags: "yes" or "no"
  std::string source;  // for messages: "-m", "--nice", "relay.toml:7: media.port_min"
};

}  // namespace relay
