// Reads what an announcement is made from: raw signed 16-bit little-endian samples at 8 kHz, or a
// WAV file of any rate and sample format.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/result.h"

namespace relay::tools {

struct Pcm {
  uint32_t rate_hz = 8000;
  std::vector<int16_t> samples;  // one channel
  std::string warning;           // what was odd about the file; empty: nothing
};

// A WAV file's channels are averaged. Fails if the file cannot be read, holds no sample or more
// than 1 GiB of them.
Result<Pcm> load_pcm(const std::string& path);

// All samples at `rate_hz`, without delay; exactly as many as the duration asks for.
Result<std::vector<int16_t>> at_rate(const Pcm& pcm, uint32_t rate_hz);

}  // namespace relay::tools
