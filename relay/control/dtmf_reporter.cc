#include "relay/control/dtmf_reporter.h"

#include <fmt/core.h>

#include <utility>

#include "ctlproto/text.h"

namespace relay {
namespace {

const DtmfTap* tap_of(const SessionLeg& leg) {
  for (const auto& tap : leg.taps) {
    if (const auto* dtmf = dynamic_cast<const DtmfTap*>(tap.get())) return dtmf;
  }
  return nullptr;
}

// `TAG [PT] [h]`
std::optional<DtmfWish> parse_wish(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 3) return std::nullopt;
  DtmfWish wish;
  auto tag = ctlproto::url_decode(arguments[0]);
  if (!tag) return std::nullopt;
  wish.tag = std::move(*tag);
  if (arguments.size() > 1) {
    const auto payload_type = ctlproto::parse_integer(arguments[1]);
    if (!payload_type || *payload_type < 0 || *payload_type > 127) return std::nullopt;
    wish.payload_type = static_cast<uint8_t>(*payload_type);
  }
  if (arguments.size() > 2) {
    if (arguments[2].find_first_not_of("hH") != std::string::npos) return std::nullopt;
    wish.hidden = true;
  }
  return wish;
}

}  // namespace

bool watch_dtmf(SessionManager& sessions, Session& session, LegId leg,
                const ctlproto::SubModule& command, DtmfEvents& events) {
  auto wish = parse_wish(command.arguments);
  // A line is a line: the tag must not make two of it.
  if (!wish || !session.notification || wish->tag.find('\n') != std::string::npos) return false;
  if (const DtmfTap* before = tap_of(session.leg(leg))) {
    wish->tag = before->wish().tag;
    const bool is_same =
        before->wish().payload_type == wish->payload_type && before->wish().hidden == wish->hidden;
    if (is_same) return true;
    sessions.detach(session, leg, *before);
  }
  return sessions.attach(session, leg,
                         std::make_unique<DtmfTap>(session.serial, leg, std::move(*wish), events));
}

DtmfReporter::DtmfReporter(const StartupConfig& config, DtmfEvents& events,
                           const SessionTable& sessions, Tell tell)
    : targets_(config.notify_targets),
      events_(events),
      sessions_(sessions),
      tell_(std::move(tell)) {}

void DtmfReporter::report() {
  for (const DtmfEvent& event : events_.take_all()) {
    const Session* session = sessions_.by_serial(event.session_serial);
    if (session == nullptr || !session->notification) continue;
    const DtmfTap* tap = tap_of(session->leg(event.leg));
    const auto target = targets_.find(session->notification->socket);
    const auto* lines = target ? std::get_if<LineTarget>(&*target) : nullptr;
    if (tap == nullptr || lines == nullptr) continue;
    tell_(*lines, fmt::format("{} {} {} {} {}", tap->wish().tag, event.digit, event.volume,
                              event.duration, event.leg == LegId::caller ? 0 : 1));
  }
}

}  // namespace relay
