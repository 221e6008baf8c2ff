// Shows the loaded program a few packets and looks at what it does with them; nothing is sent.
#pragma once

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/flow_table.h"

namespace relay {

// The error says which packet met what, and what was expected.
Result<void> self_test(const BpfProgram& program, FlowTable& flows, Instant now);

}  // namespace relay
