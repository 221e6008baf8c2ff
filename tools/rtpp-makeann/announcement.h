// Encodes an announcement for every codec a prompt may be played in: raw payload without a header,
// one file a payload type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/rtpp-makeann/pcm_file.h"

namespace relay::tools {

struct AnnouncementOptions {
  std::optional<uint64_t> limit;  // samples at 8 kHz
  bool rewind = false;            // start over at the end of the input until the limit; needs it
  bool voice_activity = false;    // of G.729
};

// Writes `stem`.0, .8, .3, .9 and, in builds with G.729, .18. Codecs of whole blocks get 160
// samples at a time, the last of them padded with silence. A file takes its name when it is
// complete, so that a relay never plays half of one. `input_path` is what is not to be overwritten.
Result<void> write_announcement(const Pcm& pcm, const std::string& stem,
                                const std::string& input_path, const AnnouncementOptions& options);

}  // namespace relay::tools
