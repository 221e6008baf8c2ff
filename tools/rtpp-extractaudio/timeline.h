// Where the packets of a recording belong in time. A stretch is a part of one SSRC's packets whose
// timestamps go on without a jump: it starts when its first packet arrived, and within it RTP
// timestamps say what comes when. All positions are samples at 8 kHz.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "relay/media/codec.h"
#include "tools/rtpp-extractaudio/capture.h"

namespace relay::tools {

inline constexpr uint32_t kTimelineRateHz = 8000;

struct TimedPacket {
  uint32_t index = 0;    // in the capture
  int64_t extended = 0;  // sequence number, without wraps
  int64_t at = 0;        // from the start of the stretch
  AudioCodec codec{};
};

struct Stretch {
  uint32_t ssrc = 0;
  int64_t arrival_ns = 0;  // of what is played at `start`
  int64_t start = 0;       // from the start of the recording; place() says
  int64_t length = 0;
  std::vector<TimedPacket> packets;  // by sequence number, each once
};

struct Timeline {
  std::vector<Stretch> stretches;               // by arrival
  std::map<uint8_t, size_t> undecoded_packets;  // by payload type; comfort noise and DTMF are none
  // One past the last sample.
  int64_t end() const;
};

// What so many bytes of payload decode to.
size_t samples_in(AudioCodec codec, size_t bytes);

Timeline make_timeline(const Capture& capture);

// Gives all stretches of all sides their places: on one clock, or, if not `synchronised`, each
// side's stretches one right after the other.
void place(std::vector<Timeline*> sides, bool synchronised);

}  // namespace relay::tools
