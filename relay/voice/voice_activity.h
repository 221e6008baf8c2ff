// Whether somebody speaks, by energy over a floor that follows the background. Good enough to time
// turns and to back up an endpoint that misses an interruption; no recogniser.
#pragma once

#include <cstdint>
#include <span>

#include "relay/base/clock.h"

namespace relay {

class VoiceActivity {
 public:
  // One 20 ms frame. True: voiced.
  bool on_frame(std::span<const int16_t> frame);
  // How long it has been voiced without a pause of more than 100 ms.
  Duration speaking_for() const { return speaking_for_; }

 private:
  double floor_ = 0;  // root mean square of the background; 0: nothing heard so far
  int unvoiced_in_a_row_ = 0;
  Duration speaking_for_{0};
};

}  // namespace relay
