// Turns the RTP that arrives on a leg into other RTP before anybody else sees it: re-packetising.
#pragma once

#include "relay/base/clock.h"
#include "relay/flow/flow.h"
#include "relay/rtp/demux.h"

namespace relay {

class PacketSink {
 public:
  virtual ~PacketSink() = default;
  // `packet` is only read during the call.
  virtual void emit(Bytes packet) = 0;
};

// Owned like a Tap, called like one.
class Transform {
 public:
  virtual ~Transform() = default;
  // Takes `packet`; what is ready by now goes to `sink`, in order. False: it came too late for its
  // place, or twice, and is gone.
  virtual bool on_packet(Bytes packet, Instant now, PacketSink& sink) = 0;
  // Called at once and then when it asked for, up to 1 ms late, so that the end of a talk spurt
  // does not wait for the next one. Returns when to call again; Instant::max(): never.
  virtual Instant on_time(Instant now, PacketSink& sink) = 0;
  // It goes away, and the stream goes on without it: all that waits goes to `sink`.
  virtual void finish(PacketSink& sink) = 0;
  // By how much the packets that leave are ahead of those that come. Once the transform has gone,
  // the rest of the stream is shifted by it.
  virtual SequenceShift shift() const = 0;
};

}  // namespace relay
