// What is known of each command before its arguments are read. commands.def is the single source.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ctlproto {

enum class Verb : uint8_t {
#define COMMAND(verb, name, tokens_min, tokens_max, modifiers, subcommands, hint) name,
#include "ctlproto/commands.def"
#undef COMMAND
};

struct CommandRow {
  Verb verb;
  std::string_view letters;  // upper case
  std::string_view name;
  size_t tokens_min;  // verb included
  size_t tokens_max;
  bool takes_modifiers;
  bool takes_subcommands;
  std::string_view hint;
};

inline constexpr auto kCommands = std::to_array<CommandRow>({
#define COMMAND(verb, name, tokens_min, tokens_max, modifiers, subcommands, hint) \
  {Verb::name, verb, #name, tokens_min, tokens_max, modifiers, subcommands, hint},
#include "ctlproto/commands.def"
#undef COMMAND
});

// The row a first token such as `Uc0,8` or `vf` belongs to; nullptr when there is none.
const CommandRow* find_command(std::string_view first_token);

}  // namespace ctlproto
