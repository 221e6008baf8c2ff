// What a voice session tells the operator's programs. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace relay {

enum class VoiceEventKind : uint8_t {
#define VOICE_EVENT(enumerator, name, help) enumerator,
#include "relay/voice/voice_event.def"
#undef VOICE_EVENT
};
std::string_view to_string(VoiceEventKind kind);

enum class VoiceError : uint8_t {
#define VOICE_ERROR(enumerator, code, retryable, help) enumerator,
#include "relay/voice/voice_error.def"
#undef VOICE_ERROR
};
std::string_view to_string(VoiceError error);
bool is_retryable(VoiceError error);

// How a voice session ended; decides between the profile's on_end and on_fail.
enum class VoiceOutcome : uint8_t {
  stopped,   // we stopped it
  finished,  // the endpoint ended it in order; what is queued may still be played
  failed,    // a call_error came before
};

struct VoiceEvent {
  VoiceEventKind kind = VoiceEventKind::started;
  std::string text;                              // user_speech, ai_response; the others: in words
  std::chrono::milliseconds played{0};           // user_interrupted: of the reply that was cut
  VoiceError error = VoiceError::protocol;       // call_error
  bool fatal = false;                            // call_error: `ended` follows
  VoiceOutcome outcome = VoiceOutcome::stopped;  // hangup, ended
};

}  // namespace relay
