// Words for what a latch says.
#pragma once

#include "relay/flow/latch.h"

namespace relay {

const char* to_text(LatchState::Rank rank);

}  // namespace relay
