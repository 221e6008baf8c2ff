// J voices, J events, J voicetest: AI voice sessions as JSON.
#include <nlohmann/json.hpp>

#include <charconv>

#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"
#include "relay/control/json_text.h"
#include "relay/control/voice_calls.h"

namespace relay {
namespace {

using nlohmann::json;

// A page of notices stays below the longest reply a datagram carries.
constexpr size_t kNoticesPerPage = 100;

double milliseconds(Duration duration) {
  return seconds(duration) * 1000;
}

std::string_view to_text(VoicePolicy policy) {
  switch (policy) {
    case VoicePolicy::tee:
      return "tee";
    case VoicePolicy::replace:
      return "replace";
    case VoicePolicy::mute_other:
      return "mute-other";
    case VoicePolicy::mix:
      return "mix";
    case VoicePolicy::whisper:
      break;
  }
  return "whisper";
}

json delays(const DelayHistogram& histogram) {
  return {{"count", histogram.count()},
          {"p50_ms", milliseconds(histogram.percentile(0.5))},
          {"p90_ms", milliseconds(histogram.percentile(0.9))},
          {"p99_ms", milliseconds(histogram.percentile(0.99))}};
}

json running_json(const VoiceCalls::Running& running, Instant now) {
  const VoicePath& path = *running.path;
  return {{"id", running.id},
          {"call_id", running.call_id},
          {"from_tag", running.from_tag},
          {"party", running.leg == LegId::caller ? "caller" : "callee"},
          {"profile", running.profile->name},
          {"policy", to_text(running.policy)},
          {"ready", running.is_ready},
          {"age_s", seconds(now - running.began)},
          {"frames_spoken", path.frames_spoken.get()},
          {"frames_discarded", path.frames_discarded.get()},
          {"heard_dropped", path.heard_dropped.get()}};
}

std::string list_voices(const HandlerContext& context) {
  json voices = json::array(), profiles = json::object();
  if (context.voices != nullptr) {
    for (const auto& [id, running] : context.voices->running()) {
      voices.push_back(running_json(running, context.clock.now()));
    }
    for (const auto& [name, profile] : context.voices->profiles()) {
      const VoiceFigures figures = context.voices->figures_of(name);
      json counters = json::object();
      for (const VoiceCounterRow& row : kVoiceCounterRows) {
        counters[row.name] = (figures.counters.*row.value).get();
      }
      counters["heard_dropped"] = figures.heard_dropped;
      profiles[name] = {{"counters", std::move(counters)},
                        {"turn", delays(figures.measures.turn)},
                        {"up", delays(figures.measures.up)},
                        {"down", delays(figures.measures.down)}};
    }
  }
  return to_json_line({{"voices", std::move(voices)}, {"profiles", std::move(profiles)}});
}

Result<void> start(HandlerContext& context, Session& session, LegId leg, std::string_view name,
                   VoiceRequest request) {
  if (context.voices == nullptr) {
    return fail("there are no voice profiles: expected [voice.NAME] in the configuration file");
  }
  name.remove_prefix(kVoicePrefix.size());
  const size_t at = name.find('@');
  request.profile = name.substr(0, at);
  if (at != std::string_view::npos) request.url = name.substr(at + 1);
  const auto started = context.voices->start(session, leg, request);
  if (!started) return tl::unexpected(started.error());
  return {};
}

}  // namespace

Result<void> start_voice(HandlerContext& context, Session& session, LegId leg,
                         std::string_view name, std::string_view payload_types) {
  VoiceRequest request;
  request.payload_types = payload_types;
  return start(context, session, leg, name, request);
}

Result<void> start_voice_tee(HandlerContext& context, Session& session, LegId leg,
                             std::string_view name, bool both) {
  VoiceRequest request;
  request.policy = VoicePolicy::tee;
  request.stereo = both;
  return start(context, session, leg, name, request);
}

bool stop_voice(HandlerContext& context, Session& session, LegId leg, VoiceRole role) {
  if (context.voices == nullptr) return false;
  const VoiceCalls::Running* running = context.voices->of_leg(session, leg);
  const bool listens = running != nullptr && running->policy == VoicePolicy::tee;
  return listens == (role == VoiceRole::listens) && context.voices->stop(session, leg);
}

std::string handle_voice(HandlerContext& context, const ctlproto::Json& request) {
  if (request.what == ctlproto::Json::What::voices) return list_voices(context);
  if (request.what == ctlproto::Json::What::voicetest) {
    if (context.voices == nullptr) return error_reply(ctlproto::error::session_not_found);
    const auto id = context.voices->test(request.argument);
    if (id) return to_json_line({{"id", *id}, {"last", context.voices->last_notice()}});
    context.refusals.warning("voice test refused reason={}", id.error().message);
    return error_reply(ctlproto::error::session_not_found);
  }
  uint64_t after = 0;
  const std::string& text = request.argument;
  const char* end = text.data() + text.size();
  if (!text.empty() && std::from_chars(text.data(), end, after).ptr != end) {
    return error_reply(ctlproto::error::session_not_found);
  }
  json events = json::array();
  uint64_t last = after;
  if (context.voices != nullptr) {
    for (const VoiceNotice* notice : context.voices->notices_after(after)) {
      if (events.size() == kNoticesPerPage) break;
      events.push_back(to_json(*notice));
      last = notice->number;
    }
  }
  return to_json_line({{"events", std::move(events)}, {"last", last}});
}

}  // namespace relay
