// P and S: prompts to one party of a call, and AI voices it speaks with.
#include <algorithm>
#include <charconv>

#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"
#include "relay/control/prompts.h"

namespace relay {
namespace {

namespace error = ctlproto::error;

template <typename Command>
std::optional<SessionTable::Match> find(const HandlerContext& context, const Command& command) {
  std::optional<std::string_view> to;
  if (command.to_tag) to = *command.to_tag;
  return context.sessions.find(command.call_id, command.from_tag, to);
}

// `8,0,101`. Like rtpproxy, what is no number ends the list, and what no payload type can be is
// passed over.
std::vector<uint8_t> to_payload_types(std::string_view list) {
  std::vector<uint8_t> types;
  while (!list.empty()) {
    const std::string_view token = list.substr(0, list.find(','));
    list.remove_prefix(std::min(token.size() + 1, list.size()));
    unsigned number = 0;
    const auto [end, failure] = std::from_chars(token.data(), token.data() + token.size(), number);
    if (failure == std::errc::invalid_argument || end != token.data() + token.size()) break;
    if (failure == std::errc() && number <= 127) types.push_back(static_cast<uint8_t>(number));
  }
  return types;
}

// Codecs and packet length of a call: what the listener's SDP offered, and what the proxy wants the
// other party's media repacketised to.
Prompts::Wanted as_in_session(const Session& session, LegId listener) {
  Prompts::Wanted wanted;
  const std::string& codecs = session.leg(listener).codecs;
  wanted.payload_types.assign(codecs.begin(), codecs.end());
  const uint16_t ptime_ms = session.leg(other(listener)).ptime_ms;
  if (ptime_ms != 0) wanted.packet_ms = ptime_ms;
  return wanted;
}

Result<void> play(HandlerContext& context, const ctlproto::Play& request, Session& session,
                  LegId listener) {
  Prompts::Wanted wanted;
  if (request.codecs) wanted.payload_types = to_payload_types(*request.codecs);
  if (request.name.starts_with(kVoicePrefix)) {
    context.prompts.stop(session, listener);
    const std::string types(wanted.payload_types.begin(), wanted.payload_types.end());
    return start_voice(context, session, listener, request.name, types);
  }
  if (!request.codecs) wanted = as_in_session(session, listener);
  wanted.name = request.name;
  wanted.count = request.count;
  stop_voice(context, session, listener, VoiceRole::speaks);
  return context.prompts.play(session, listener, wanted);
}

void stop(HandlerContext& context, Session& session, LegId listener) {
  context.prompts.stop(session, listener);
  stop_voice(context, session, listener, VoiceRole::speaks);
}

}  // namespace

// A prompt under way is stopped whatever becomes of the new one, unless that takes its place.
std::string handle(HandlerContext& context, const ctlproto::Play& request) {
  const auto match = find(context, request);
  if (!match) return error_reply(error::session_not_found);
  Session& session = *match->session;
  const LegId listener = other(match->leg_of_update);
  const bool needs_codecs = !request.codecs && !request.name.starts_with(kVoicePrefix);
  if (request.count == 0 || (needs_codecs && session.leg(listener).codecs.empty())) {
    stop(context, session, listener);
    return request.count == 0 ? "0" : error_reply(error::unknown_media_modifier);
  }
  const auto played = play(context, request, session, listener);
  if (played) return "0";
  stop(context, session, listener);
  context.refusals.warning("prompt not played call_id={} name={} reason={}",
                           quoted(request.call_id), quoted(request.name), played.error().message);
  return error_reply(error::player_failed);
}

std::string handle(HandlerContext& context, const ctlproto::StopPlay& request) {
  const auto match = find(context, request);
  if (!match) return error_reply(error::session_not_found);
  stop(context, *match->session, other(match->leg_of_update));
  return "0";
}

}  // namespace relay
