// P and S: read and checked like the others, so that a client learns what is wrong with its
// command; prompts themselves are not in this version.
#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"

namespace relay {
namespace {

namespace error = ctlproto::error;

template <typename Command>
std::optional<SessionTable::Match> find(const HandlerContext& context, const Command& command) {
  std::optional<std::string_view> to;
  if (command.to_tag) to = *command.to_tag;
  return context.sessions.find(command.call_id, command.from_tag, to);
}

}  // namespace

std::string handle(HandlerContext& context, const ctlproto::Play& request) {
  const auto match = find(context, request);
  if (!match) return error_reply(error::session_not_found);
  if (request.count == 0) return "0";  // stop what plays: nothing does
  const SessionLeg& hearing = match->session->leg(other(match->leg_of_update));
  if (!request.codecs && hearing.codecs.empty()) {
    return error_reply(error::unknown_media_modifier);
  }
  return error_reply(error::player_failed);
}

std::string handle(HandlerContext& context, const ctlproto::StopPlay& request) {
  return find(context, request) ? "0" : error_reply(error::session_not_found);
}

}  // namespace relay
