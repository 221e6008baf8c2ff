// U and L.
#include <fmt/core.h>

#include "ctlproto/error_codes.h"
#include "relay/base/log.h"
#include "relay/control/auto_voices.h"
#include "relay/control/handlers.h"
#include "relay/media/repacketiser.h"

namespace relay {
namespace {

LocalChoice to_local_choice(const ctlproto::LocalAddress& address) {
  using Kind = ctlproto::LocalAddress::Kind;
  switch (address.kind) {
    case Kind::label:
      return {LocalChoice::Kind::label, address.value};
    case Kind::towards:
      return {LocalChoice::Kind::towards, address.value};
    case Kind::address:
      break;
  }
  return {LocalChoice::Kind::address, address.value};
}

Symmetry to_symmetry(ctlproto::Symmetry symmetry) {
  if (symmetry == ctlproto::Symmetry::unset) return Symmetry::unset;
  return symmetry == ctlproto::Symmetry::asymmetric ? Symmetry::asymmetric : Symmetry::symmetric;
}

std::optional<Notification> to_notification(HandlerContext& context,
                                            const ctlproto::Update& request) {
  const auto target = context.notify_targets.resolve(request.notification->socket, context.origin);
  if (target) return Notification{*target, request.notification->tag};
  context.refusals.warning(
      "nobody will be told of a time-out, -n has no such socket call_id={} "
      "socket={}",
      quoted(request.call_id), quoted(request.notification->socket));
  return std::nullopt;
}

template <typename Command>
MediaRequest to_media_request(const Command& command) {
  MediaRequest request = relay::to_media_request(command.modifiers, command.media);
  request.call_id = command.call_id;
  request.from_tag = command.from_tag;
  if (command.to_tag) request.to_tag = *command.to_tag;
  return request;
}

template <typename Command>
std::string finish(HandlerContext& context, const Command& command, const MediaAnswer& answer,
                   const SessionCounters& before) {
  const SessionCounters& now = context.sessions.counters();
  const bool is_new = now.created != before.created;
  if (is_new && context.recording.every_session) record_new_session(context, *answer.session);
  std::string reply = media_reply(answer);
  repacketise(context.sessions, *answer.session, other(answer.answered));
  SubCommandTarget target{answer.session->serial, other(answer.answered), command.call_id,
                          command.from_tag, std::nullopt};
  if (command.to_tag) target.to_tag = *command.to_tag;
  run_subcommands(context, target, command.subcommands, reply);
  // Behind the sub-commands: L may be the answer, S sets the TOS that rules match, D ends it all.
  if (now.answered != before.answered) connect_answered(context, target.session_serial);
  return reply;
}

std::string refused(HandlerContext& context, std::string_view verb, std::string_view call_id,
                    const Refused& refusal) {
  context.refusals.warning("{} refused call_id={} reason={}", verb, quoted(call_id),
                           refusal.message);
  return error_reply(to_error_code(refusal.why));
}

}  // namespace

MediaRequest to_media_request(const ctlproto::MediaModifiers& modifiers,
                              const ctlproto::MediaAddress& media) {
  MediaRequest request;
  request.hold = media.kind == ctlproto::MediaAddress::Kind::hold;
  if (media.kind == ctlproto::MediaAddress::Kind::endpoint) {
    if (const auto address = IpAddress::parse(media.address)) {
      request.media = Endpoint{*address, media.port};
    }
  }
  request.symmetry = to_symmetry(modifiers.symmetry);
  for (const ctlproto::Direction direction : modifiers.directions) {
    request.sides.push_back(direction == ctlproto::Direction::external ? NetworkSide::external
                                                                       : NetworkSide::internal);
  }
  request.ipv6 = modifiers.ipv6;
  request.weak = modifiers.weak;
  request.new_port = modifiers.new_port;
  request.ptime_ms = static_cast<uint16_t>(modifiers.ptime_ms.value_or(0));
  if (modifiers.codecs) request.codecs.assign(modifiers.codecs->begin(), modifiers.codecs->end());
  if (modifiers.local_address) request.local = to_local_choice(*modifiers.local_address);
  return request;
}

void repacketise(SessionManager& sessions, Session& session, LegId described) {
  const SessionLeg& leg = session.leg(described);
  const auto* current = dynamic_cast<const Repacketiser*>(leg.transform.get());
  if (current != nullptr && current->ptime_ms() == leg.ptime_ms) return;  // goes on as it is
  sessions.set_transform(
      session, described,
      leg.ptime_ms == 0 ? nullptr : std::make_unique<Repacketiser>(leg.ptime_ms));
}

int to_error_code(Refusal refusal) {
  namespace error = ctlproto::error;
  switch (refusal) {
    case Refusal::no_external_network:
      return error::external_direction;
    case Refusal::no_internal_network:
      return error::internal_direction;
    case Refusal::local_address_unknown:
      return error::local_address_unknown;
    case Refusal::no_route:
      return error::no_route_towards;
    case Refusal::no_address_of_family:
      return error::no_address_of_family;
    case Refusal::remote_address_refused:
      return error::media_address;
    case Refusal::unknown_session:
      return error::session_not_found;
    case Refusal::no_ports_for_leg:
      return error::no_port_for_side;
    case Refusal::no_ports_for_session:
      return error::no_port_for_session;
    case Refusal::overloaded:
      return error::overload;
    case Refusal::draining:
      return error::draining;
  }
  return error::malformed;
}

std::string media_reply(const MediaAnswer& answer) {
  const IpAddress& bind = answer.local.address;
  const char* family = bind.is_ipv6() ? " 6" : "";
  // What -l ADDR=ADVERTISED names is shown on a wildcard address too; rtpproxy hides it there.
  if (answer.advertised != nullptr) {
    return fmt::format("{} {}{}", answer.local.port, *answer.advertised, family);
  }
  if (bind.is_any()) return fmt::format("{}", answer.local.port);
  return fmt::format("{} {}{}", answer.local.port, bind.to_string(), family);
}

std::string handle(HandlerContext& context, const ctlproto::Update& request) {
  if (!subcommands_supported(context, request.subcommands)) {
    return error_reply(ctlproto::error::subcommand_refused);
  }
  MediaRequest media = to_media_request(request);
  if (request.notification && context.notify_targets.empty()) {
    context.refusals.warning("notification asked for but no -n is configured call_id={} socket={}",
                             quoted(request.call_id), quoted(request.notification->socket));
    // rtpproxy takes Kamailio's spellings for tags and answers with a port; the call comes first.
    if (!request.notification->is_loose) {
      return error_reply(ctlproto::error::notification_not_configured);
    }
  } else if (request.notification) {
    media.notification = to_notification(context, request);
  }
  const SessionCounters before = context.sessions.counters();
  const auto answer = context.sessions.update(media);
  if (!answer) return refused(context, "U", request.call_id, answer.error());
  return finish(context, request, *answer, before);
}

std::string handle(HandlerContext& context, const ctlproto::Lookup& request) {
  if (!subcommands_supported(context, request.subcommands)) {
    return error_reply(ctlproto::error::subcommand_refused);
  }
  const SessionCounters before = context.sessions.counters();
  const auto answer = context.sessions.lookup(to_media_request(request));
  if (answer) return finish(context, request, *answer, before);
  if (answer.error().why == Refusal::unknown_session) return "0";
  return refused(context, "L", request.call_id, answer.error());
}

}  // namespace relay
