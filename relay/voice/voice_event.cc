#include "relay/voice/voice_event.h"

namespace relay {

std::string_view to_string(VoiceEventKind kind) {
  switch (kind) {
#define VOICE_EVENT(enumerator, name, help) \
  case VoiceEventKind::enumerator:          \
    return name;
#include "relay/voice/voice_event.def"
#undef VOICE_EVENT
  }
  return "";
}

std::string_view to_string(VoiceError error) {
  switch (error) {
#define VOICE_ERROR(enumerator, code, retryable, help) \
  case VoiceError::enumerator:                         \
    return code;
#include "relay/voice/voice_error.def"
#undef VOICE_ERROR
  }
  return "";
}

bool is_retryable(VoiceError error) {
  switch (error) {
#define VOICE_ERROR(enumerator, code, retryable, help) \
  case VoiceError::enumerator:                         \
    return retryable;
#include "relay/voice/voice_error.def"
#undef VOICE_ERROR
  }
  return false;
}

}  // namespace relay
