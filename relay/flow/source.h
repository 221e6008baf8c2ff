// Speaks to a leg's party in place of the other party, or between its words: prompts, voice.
#pragma once

#include <span>

#include "relay/base/clock.h"
#include "relay/flow/flow.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/sequence_core.h"

namespace relay {

class SourceOutput {
 public:
  virtual ~SourceOutput() = default;
  // To the leg's party, at once. RTCP takes the way the party's own RTCP takes.
  virtual void emit(Component component, Bytes packet) = 0;
};

// Owned like a Tap. Called by the thread that owns the group; must not block, allocate, lock or
// log.
class Source {
 public:
  virtual ~Source() = default;

  // Before all else, as soon as the leg can send. `other` is what has come from the other party so
  // far (with the sequence numbers that instead_of() sees); `shift` stays valid while the source is
  // attached, and is applied to what instead_of() lets through.
  virtual void start(const RtpStreamState& other, SequenceShift& shift, Instant now) = 0;

  // Called at once and then when it asked for; up to 1 ms late, and by what the thread is busy
  // with. Returns when to call again; Instant::max(): never, though instead_of() is called on.
  virtual Instant play(Instant now, SourceOutput& output) = 0;

  // A packet of the other party (RTP or RTCP) on its way to this one: what leaves in its place,
  // which may be `packet` itself, lie in `scratch` (at least as large), or be empty: nothing.
  virtual Bytes instead_of(PacketKind kind, Bytes packet, Instant now,
                           std::span<std::byte> scratch) = 0;

  // What people read: "prompt".
  virtual const char* name() const = 0;
};

}  // namespace relay
