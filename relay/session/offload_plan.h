// What the kernel is to do with a flow, or why it cannot: pure, of what signalling says and the
// slow path has published.
#pragma once

#include <string_view>

#include <tl/expected.hpp>

#include "relay/flow/decide.h"
#include "relay/flow/kernel_plane.h"

namespace relay {

struct OffloadQuestion {
  const FlowGroup& group;
  const FlowGroupSpec& spec;
  LegId leg = LegId::callee;  // where the packets arrive
  Component component = Component::rtp;
  int tos = -1;  // of the socket they leave from
};

// The reason is a literal.
tl::expected<KernelFlowSpec, std::string_view> plan_offload(const OffloadQuestion& question);

// Whether a flow in the kernel stands on something that is other in `after`: it has to come back
// before the slow path hears of it.
bool stands_on_changed(const FlowGroupSpec& before, const FlowGroupSpec& after);

}  // namespace relay
