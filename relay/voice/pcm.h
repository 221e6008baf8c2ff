// Little-endian 16-bit samples, as all these protocols carry them, to and from ours.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/voice/driver.h"

namespace relay {

inline void append_s16le(std::vector<uint8_t>& out, Samples samples) {
  out.reserve(out.size() + samples.size() * 2);
  for (const int16_t sample : samples) {
    const auto bits = static_cast<uint16_t>(sample);
    out.push_back(static_cast<uint8_t>(bits & 0xFF));
    out.push_back(static_cast<uint8_t>(bits >> 8));
  }
}

// Endpoints cut their audio anywhere, also through a sample: the odd byte waits for the next piece.
class S16leReader {
 public:
  // The whole samples so far; valid until the next call.
  Samples read(Octets octets) {
    samples_.clear();
    samples_.reserve(octets.size() / 2 + 1);
    for (const uint8_t octet : octets) {
      if (!has_low_) {
        low_ = octet;
      } else {
        samples_.push_back(static_cast<int16_t>(static_cast<uint16_t>(octet << 8 | low_)));
      }
      has_low_ = !has_low_;
    }
    return samples_;
  }
  void reset() { has_low_ = false; }

 private:
  std::vector<int16_t> samples_;
  uint8_t low_ = 0;
  bool has_low_ = false;
};

}  // namespace relay
