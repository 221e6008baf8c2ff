// A further consumer of a party's packets: recorder, copy, fork, event detector, voice. Planes know
// this interface only; whoever attaches a tap to a leg owns it, and frees it once the plane has
// let go of the spec that named it.
#pragma once

#include <cstdint>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/flow/flow.h"
#include "relay/rtp/demux.h"

namespace relay {

// More worker threads than this are refused at start, so that a tap may keep a queue for each.
inline constexpr uint32_t kTapThreadsMax = 64;

// A packet that its leg's latch accepted; valid during the call.
struct TappedPacket {
  LegId leg = LegId::callee;  // whose party sent it
  Component component = Component::rtp;
  PacketKind kind = PacketKind::other;
  bool replaced = false;  // a source speaks to the other party, this is not relayed
  Endpoint source;
  Endpoint local;  // where it came in; the address may be a wildcard when nobody knows better
  Bytes bytes;
  Instant arrival{};
  uint32_t thread = 0;  // the calling thread's number, < kTapThreadsMax
};

enum class TapAnswer : uint8_t {
  relay,    // goes on its way
  consume,  // goes no further
};

class Tap {
 public:
  virtual ~Tap() = default;

  // Called by the thread that owns the group, for one packet after the other; a later packet may
  // come from another thread, but never two at a time. Must not block, allocate, lock or log. A
  // consumer that cannot keep up drops its own copy and counts it.
  virtual TapAnswer offer(const TappedPacket& packet) = 0;

  // The rest is fixed for the tap's life; any thread. What it wants may be handed over in copy,
  // while the kernel relays the original; a tap that may consume keeps the flow on the slow path.
  virtual bool wants(PacketKind kind) const = 0;
  virtual bool may_consume() const { return false; }
  // What people read: "recording".
  virtual const char* name() const = 0;
};

}  // namespace relay
