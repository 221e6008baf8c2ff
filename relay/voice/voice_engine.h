// The voice thread as the control thread sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "relay/base/clock.h"
#include "relay/voice/driver.h"
#include "relay/voice/dtmf_detector.h"
#include "relay/voice/media_path.h"
#include "relay/voice/profile.h"
#include "relay/voice/voice_dialogue.h"

namespace relay {

struct VoiceStart {
  VoiceId id = 0;
  std::shared_ptr<const VoiceProfile> profile;
  VoiceCall call;
  VoiceDialogueSettings media;  // `up` is the engine's to fill in: the driver says it
};

// What a voice session tells; `ended` is the last of it.
struct VoiceReport {
  VoiceId id = 0;
  Instant at{};
  std::optional<VoiceEvent> event;
  std::optional<KeyPress> key_press;
};

// Control thread. Reports come back in the control thread, never from inside these calls.
class VoiceEngine {
 public:
  virtual ~VoiceEngine() = default;
  virtual void start(VoiceStart start) = 0;
  // Takes leave of the endpoint. For one that is over or unknown: nothing.
  virtual void stop(VoiceId id) = 0;
  // Live as long as the engine.
  virtual const VoiceCounters& counters_of(const std::string& profile) const = 0;
  virtual const VoiceMeasures& measures_of(const std::string& profile) const = 0;
  // For taps.
  virtual VoiceWaker& waker() = 0;
};

}  // namespace relay
