// From two directions of a recording to one sound file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "relay/base/result.h"
#include "tools/rtpp-extractaudio/capture.h"
#include "tools/rtpp-extractaudio/sound_file.h"
#include "tools/rtpp-extractaudio/timeline.h"

namespace relay::tools {

struct Side {
  Capture capture;
  Timeline timeline;
};

struct ExtractedSamples {
  uint64_t originate = 0, answer = 0;  // that came out of packets
  uint64_t written = 0;                // a channel, silence included
};

// Lays both directions on one clock, or plays each without its pauses, and writes them: side by
// side in stereo (A left, O right), otherwise their average, or the only one there is. What came
// before an error is in the file.
// Nothing stands for a direction that there is no recording of.
Result<ExtractedSamples> extract(std::optional<Side>& answer, std::optional<Side>& originate,
                                 bool synchronised, int channels, SoundFile& file);

}  // namespace relay::tools
