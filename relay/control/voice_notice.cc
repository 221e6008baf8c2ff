#include "relay/control/voice_notice.h"

#include <nlohmann/json.hpp>

namespace relay {

using nlohmann::json;

namespace {

std::string_view to_text(VoiceOutcome outcome) {
  switch (outcome) {
    case VoiceOutcome::stopped:
      return "stopped";
    case VoiceOutcome::finished:
      return "finished";
    case VoiceOutcome::failed:
      break;
  }
  return "failed";
}

}  // namespace

json to_json(const VoiceNotice& notice) {
  json result = {
      {"number", notice.number},   {"time_ms", notice.wall_ms},   {"id", notice.id},
      {"call_id", notice.call_id}, {"from_tag", notice.from_tag}, {"profile", notice.profile}};
  if (notice.report.key_press) {
    result["event"] = "dtmf";
    result["digit"] = std::string(1, notice.report.key_press->digit);
    result["duration_ms"] = notice.report.key_press->duration.count();
    return result;
  }
  const VoiceEvent& event = *notice.report.event;
  result["event"] = to_string(event.kind);
  if (!event.text.empty()) result["text"] = event.text;
  if (event.kind == VoiceEventKind::user_interrupted) result["played_ms"] = event.played.count();
  if (event.kind == VoiceEventKind::call_error) {
    result["error"] = to_string(event.error);
    result["fatal"] = event.fatal;
  }
  const bool is_end = event.kind == VoiceEventKind::ended || event.kind == VoiceEventKind::hangup;
  if (is_end) result["outcome"] = to_text(event.outcome);
  return result;
}

}  // namespace relay
