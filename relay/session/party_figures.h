// A flow's figures as rtpproxy counts them, for queries and call records.
#pragma once

#include <cstdint>

#include "relay/flow/decide.h"

namespace relay {

// Packets that the party really sent: without those refused before they counted.
uint64_t packets_in(const FlowFigures& figures);
// Of those, the ones that went no further.
uint64_t packets_dropped(const FlowFigures& figures);

}  // namespace relay
