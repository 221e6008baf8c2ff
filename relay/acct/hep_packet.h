// HEP version 3 packets (Homer encapsulation): what a captured RTCP report becomes on its way to a
// collector. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"

namespace relay {

struct HepReport {
  Endpoint source, destination;  // of one address family
  Duration since_1970{0};        // when it was captured
  uint32_t capture_id = 0;
  std::string_view call_id, payload;
};

// Nothing but an empty text when the addresses are of two families or unknown, or when it would be
// longer than HEP can say (65535 bytes).
std::string hep_packet(const HepReport& report);

}  // namespace relay
