#include "relay/control/auto_voices.h"

#include <fnmatch.h>

#include <algorithm>

#include "relay/control/voice_calls.h"
#include "relay/session/tags.h"

namespace relay {
namespace {

bool is_in(const std::vector<AddressRange>& ranges, const std::optional<Endpoint>& signalled) {
  if (ranges.empty()) return true;
  return signalled && std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) {
           return range.contains(signalled->address);
         });
}

bool is_on(const std::vector<VoiceRuleListener>& listeners, const LocalPlan& local) {
  if (listeners.empty()) return true;
  const std::string_view advertised =
      local.advertised != nullptr ? std::string_view(*local.advertised) : std::string_view();
  return std::any_of(listeners.begin(), listeners.end(), [&](const VoiceRuleListener& listener) {
    return std::any_of(listener.addresses.begin(), listener.addresses.end(),
                       [&](const LocalAddressConfig& address) {
                         return address.bind == local.bind && address.advertised == advertised;
                       });
  });
}

bool has_tos(const std::optional<int>& tos, const Session& session) {
  return !tos || session.leg(LegId::caller).tos == *tos || session.leg(LegId::callee).tos == *tos;
}

bool fits(const VoiceRule& rule, const Session& session) {
  if (!rule.call_id.empty() && ::fnmatch(rule.call_id.c_str(), session.call_id.c_str(), 0) != 0) {
    return false;
  }
  return is_in(rule.caller, session.leg_spec(LegId::caller).signalled) &&
         is_in(rule.callee, session.leg_spec(LegId::callee).signalled) &&
         is_on(rule.caller_listeners, session.leg(LegId::caller).local) &&
         is_on(rule.callee_listeners, session.leg(LegId::callee).local) &&
         has_tos(rule.tos, session);
}

// Video and the like: its codecs are none that is spoken here, or unknown and it is not the first
// medium.
bool is_audio(const VoiceCalls& voices, const Session& session, LegId leg) {
  const std::string& codecs = session.leg(leg).codecs;
  if (!codecs.empty()) return voices.payload_types().can_speak(codecs);
  const std::string_view number = media_number(session.from_tag);
  return number.empty() || number == ";1";
}

bool start(HandlerContext& context, Session& session, LegId leg, const VoiceRule& rule) {
  VoiceCalls& voices = *context.voices;
  if (!is_audio(voices, session, leg) || voices.of_leg(session, leg) != nullptr) return false;
  VoiceRequest request;
  request.profile = rule.profile;
  request.policy = rule.policy;
  request.stereo = rule.stereo;
  request.is_automatic = true;
  const auto started = voices.start(session, leg, request);
  if (started) return true;
  context.refusals.warning("voice not connected call_id={} rule={} reason={}",
                           quoted(session.call_id), rule.number, started.error().message);
  return false;
}

}  // namespace

const VoiceRule* first_match(const VoiceRules& rules, const Session& session, bool record) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const VoiceRule& rule) {
    return (rule.on != VoiceOccasion::answer) == record && fits(rule, session);
  });
  return found == rules.end() ? nullptr : &*found;
}

void connect_answered(HandlerContext& context, uint64_t session_serial) {
  if (context.voices == nullptr) return;
  Session* session = context.sessions.table().by_serial(session_serial);
  if (session == nullptr || session->lingering) return;
  const VoiceRule* rule = first_match(context.voices->rules(), *session, false);
  if (rule != nullptr) {
    start(context, *session, rule->is_callee ? LegId::callee : LegId::caller, *rule);
  }
}

// In stereo the caller is the left one, whoever is named: a second R changes nothing.
std::optional<ListenedTo> listen_as_recorded(HandlerContext& context, Session& session, LegId leg) {
  if (context.voices == nullptr) return std::nullopt;
  const VoiceRule* rule = first_match(context.voices->rules(), session, true);
  if (rule == nullptr) return std::nullopt;
  const LegId heard = rule->stereo ? LegId::caller : leg;
  const VoiceCalls::Running* running = context.voices->of_leg(session, heard);
  const bool listens = running != nullptr && running->policy == VoicePolicy::tee;
  if (!listens && !start(context, session, heard, *rule)) return std::nullopt;
  return ListenedTo{rule->on == VoiceOccasion::instead_of_record};
}

}  // namespace relay
