// What a plane does with one packet. Every packet ends in exactly one verdict, every drop has a
// name: received = forwarded + punted + consumed + Σ drops.
#pragma once

#include <cstdint>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/flow/flow.h"

namespace relay {

enum class DropReason : uint8_t {
#define DROP_REASON(name, help) name,
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
};
inline constexpr size_t kDropReasons = 0
#define DROP_REASON(name, help) +1
#include "relay/flow/drop_reason.def"
#undef DROP_REASON
    ;
std::string_view to_string(DropReason reason);

struct Verdict {
  enum class Kind : uint8_t { forward, punt, consume, drop };
  Kind kind = Kind::drop;
  DropReason reason = DropReason::session_incomplete;  // drop only
  LegId egress_leg = LegId::callee;                    // forward only, and the next two
  Component egress_component = Component::rtp;
  Endpoint destination;

  static Verdict forward(LegId leg, Component component, const Endpoint& destination) {
    return {Kind::forward, DropReason{}, leg, component, destination};
  }
  static Verdict consume() { return {Kind::consume, {}, {}, {}, {}}; }
  static Verdict drop(DropReason reason) { return {Kind::drop, reason, {}, {}, {}}; }
};

}  // namespace relay
