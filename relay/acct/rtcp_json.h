// RTCP reports as the JSON text that rtpproxy sends to collectors. Pure; any thread.
#pragma once

#include <string>

#include "relay/rtp/demux.h"

namespace relay {

// One object for each sender and receiver report of the compound packet, one after the other; empty
// for a packet without reports or one that is malformed.
std::string rtcp_json(Bytes packet);

}  // namespace relay
