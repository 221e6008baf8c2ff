// V, VF and I.
#include <fmt/core.h>

#include "relay/control/features.h"
#include "relay/control/handlers.h"

namespace relay {

std::string handle(HandlerContext&, const ctlproto::Version&) {
  return std::string(kBasicVersion);
}

std::string handle(HandlerContext& context, const ctlproto::Feature& request) {
  // As rtpproxy. A client that is told no does not ask for notifications, nor get E75.
  if (request.date == kNotificationFeature && context.notify_targets.empty()) return "0";
  for (const Feature& feature : kFeatures) {
    if (feature.date == request.date) return "1";
  }
  return "0";
}

std::string handle(HandlerContext& context, const ctlproto::Info& request) {
  const SessionManager& sessions = context.sessions;
  const PlaneCounters traffic = context.plane.counters();
  std::string reply = fmt::format(
      "sessions created: {}\nactive sessions: {}\nactive streams: {}\n"
      "packets received: {}\npackets transmitted: {}\n",
      sessions.counters().created, sessions.active(), 2 * sessions.active(),
      received_by_complete_sessions(traffic), traffic.forwarded + traffic.emitted + traffic.played);
  if (request.load) {
    reply += fmt::format("average load: {:.6f}\n", sessions.overload().cpu_percent() / 100);
  }
  return reply;
}

}  // namespace relay
