// Turns the RTP that arrives on a leg into other RTP before anybody else sees it: re-packetising.
#pragma once

#include "relay/base/clock.h"
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
  // Takes `packet`; what is ready by now goes to `sink`, in order.
  virtual void on_packet(Bytes packet, Instant now, PacketSink& sink) = 0;
};

}  // namespace relay
