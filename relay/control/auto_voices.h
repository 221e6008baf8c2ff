// AI voices that a call gets by [[voice.auto]] and not by a command of its own. Whatever becomes of
// them, the command at hand succeeds and the call goes on. Control thread.
#pragma once

#include "relay/config/voice_config.h"
#include "relay/control/handlers.h"
#include "relay/session/session.h"

namespace relay {

// The first rule for that; with `record` both kinds that R brings about are meant. Null: none.
const VoiceRule* first_match(const VoiceRules& rules, const Session& session, bool record);

// Both parties have become known; the session may be gone since.
void connect_answered(HandlerContext& context, uint64_t session_serial);

// R of that party. Nothing: no rule fits, or no endpoint could be had.
struct ListenedTo {
  bool instead = false;  // of being recorded
};
std::optional<ListenedTo> listen_as_recorded(HandlerContext& context, Session& session, LegId leg);

}  // namespace relay
