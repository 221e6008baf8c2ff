// What stands behind `&&`.
#pragma once

#include <vector>

#include "ctlproto/parse.h"
#include "ctlproto/tokens.h"

namespace ctlproto {

// The command the sub-commands belong to; it decides which of them are allowed.
enum class SubCommandHost : uint8_t { update_with_to_tag, update_or_lookup, query };

// Any fault is E3 for the whole command.
tl::expected<std::vector<SubCommand>, ParseError> parse_subcommands(const CommandText& command,
                                                                    SubCommandHost host);

}  // namespace ctlproto
