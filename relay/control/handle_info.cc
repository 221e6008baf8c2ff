// V, VF and I.
#include <fmt/core.h>

#include <array>

#include "relay/control/handlers.h"

namespace relay {
namespace {

// Capabilities by the date they were named with. Listed is what works; a client that is told yes
// uses it. Known but not offered here: 20071116 re-packetising, 20071218 copying, 20081224 and
// 20150617 timeout notification, 20140323 load, 20200226 stopping a recording, 20230205 DTMF
// events, 20250523 copy with port, 20260309 fork. And 20170313, OpenSIPS's TTL letters t and T,
// which rtpproxy denies too.
constexpr std::array<std::string_view, 16> kFeatures = {
    "20040107",  // the base protocol
    "20050322",  // several media a call
    "20060704",  // VF itself
    "20080403",  // Q
    "20081102",  // codec lists
    "20090810",  // l and r
    "20140617",  // session set-up counted
    "20141004",  // G
    "20150330",  // n
    "20150420",  // sequence statistics in Q and G
    "20191015",  // &&
    "20230314",  // Q && D
    "20230424",  // longest_ipi and jitter in Q
    "20251015",  // S ttl and S tos
    "20260306",  // l{label}
    "20260308",  // U && L
};

}  // namespace

std::string handle(HandlerContext&, const ctlproto::Version&) {
  return "20040107";
}

std::string handle(HandlerContext&, const ctlproto::Feature& request) {
  for (const std::string_view feature : kFeatures) {
    if (feature == request.date) return "1";
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
      received_by_complete_sessions(traffic), traffic.forwarded);
  if (request.load) {
    reply += fmt::format("average load: {:.6f}\n", sessions.overload().cpu_percent() / 100);
  }
  return reply;
}

}  // namespace relay
