// The configuration as a person reads it: --check, and one line in the log at start.
#pragma once

#include <string>

#include "relay/config/config.h"

namespace relay {

std::string describe(const Config& config);          // one setting a line
std::string describe_in_line(const Config& config);  // key=value pairs, for the log

// How many calls the port range of one address family holds; a call of two legs takes two pairs.
size_t port_pairs(const StartupConfig& startup);

}  // namespace relay
