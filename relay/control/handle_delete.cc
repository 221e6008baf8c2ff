// D and X.
#include "ctlproto/error_codes.h"
#include "relay/control/handlers.h"

namespace relay {

std::string handle(HandlerContext& context, const ctlproto::Delete& request) {
  std::optional<std::string_view> to;
  if (request.to_tag) to = *request.to_tag;
  const size_t touched =
      context.sessions.remove(request.call_id, request.from_tag, to, request.weak);
  // Proxies send D twice as a matter of course (BYE and its 200): not worth a log line.
  return touched != 0 ? "0" : error_reply(ctlproto::error::session_not_found);
}

std::string handle(HandlerContext& context, const ctlproto::DeleteAll&) {
  context.sessions.remove_all();
  return "0";
}

}  // namespace relay
