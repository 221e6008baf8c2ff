// What the programs that benchmarks run have in common.
#pragma once

#include <errno.h>
#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "relay/base/endpoint.h"

namespace relay {

// Ends the program, and says why.
[[noreturn]] inline void stop(const std::string& why) {
  fmt::print(stderr, "{}: {}\n", program_invocation_short_name, why);
  std::exit(1);
}

// ADDRESS/PORT, which IPv6 needs no brackets for.
inline Endpoint to_endpoint(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  unsigned port = 0;
  if (slash != std::string::npos) {
    std::from_chars(text.data() + slash + 1, text.data() + text.size(), port);
  }
  if (!address || port < 1 || port > 65535) stop("\"" + text + "\": expected ADDRESS/PORT");
  return {*address, static_cast<uint16_t>(port)};
}

}  // namespace relay
