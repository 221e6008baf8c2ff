// Key presses out of RFC 4733 telephone-events: one a press, however many packets tell of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "relay/base/clock.h"
#include "relay/voice/media_path.h"

namespace relay {

struct KeyPress {
  char digit = 0;  // 0-9 * # A-D
  std::chrono::milliseconds duration{0};
};

class DtmfDetector {
 public:
  // A packet of the telephone-event type. A press is told at its first end packet, or when another
  // press begins before one came. Durations count at `clock_rate_hz`.
  std::optional<KeyPress> on_packet(const HeardPacket& packet, uint32_t clock_rate_hz = 8000);
  // The end packets of a press may all be lost: after 200 ms without another packet it is told.
  std::optional<KeyPress> on_time(Instant now);

 private:
  std::optional<KeyPress> finish();

  struct Pressed {
    uint32_t ssrc = 0, timestamp = 0;
    uint8_t event = 0;
    uint16_t duration = 0;  // timestamp units
    uint32_t clock_rate_hz = 8000;
    int64_t last_arrival_ns = 0;
  };
  std::optional<Pressed> pressed_;
  uint32_t told_ssrc_ = 0, told_timestamp_ = 0;
  bool has_told_ = false;
};

}  // namespace relay
