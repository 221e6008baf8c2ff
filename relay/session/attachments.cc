// Taps, transforms and sources of a leg. The plane learns of them with the spec; a detached one is
// freed when the plane has taken over the spec without it.
#include <algorithm>
#include <utility>

#include "relay/session/session_manager.h"

namespace relay {

bool SessionManager::attach(Session& session, LegId leg, std::unique_ptr<Tap> tap) {
  auto& taps = session.leg(leg).taps;
  if (taps.size() >= LegSpec::kTapsMax) return false;
  taps.push_back(std::move(tap));
  name_attachments(session);
  return true;
}

PlaneTicket SessionManager::detach(Session& session, LegId leg, const Tap& tap) {
  auto& taps = session.leg(leg).taps;
  const auto found = std::find_if(taps.begin(), taps.end(),
                                  [&](const auto& attached) { return attached.get() == &tap; });
  if (found == taps.end()) return {};
  std::unique_ptr<Tap> detached = std::move(*found);
  taps.erase(found);
  const PlaneTicket ticket = name_attachments(session);
  graveyard_.add(std::move(detached), ticket);
  return ticket;
}

void SessionManager::set_transform(Session& session, LegId leg,
                                   std::unique_ptr<Transform> transform) {
  replace(session, session.leg(leg).transform, std::move(transform));
}

void SessionManager::set_source(Session& session, LegId leg, std::unique_ptr<Source> source) {
  if (source) session.leg(leg).source_since = clock_.now();
  replace(session, session.leg(leg).source, std::move(source));
}

tl::expected<PortPair, Refused> SessionManager::open_ports_towards(const Endpoint& to,
                                                                   const SessionLeg& leg) {
  if (auto checked = check_remote(to); !checked) {
    return tl::unexpected<Refused>(std::move(checked.error()));
  }
  const auto local = sockets_.address_towards(to.address);
  if (!local) {
    return tl::unexpected<Refused>(
        {Refusal::no_route, "no route towards " + to.address.to_string()});
  }
  auto ports = open_ports(*local);
  if (!ports) {
    return tl::unexpected<Refused>({Refusal::no_ports_for_leg, std::move(ports.error().message)});
  }
  if (leg.tos >= 0) {
    sockets_.set_tos(ports->rtp_socket(), local->family(), leg.tos);
    sockets_.set_tos(ports->rtcp_socket(), local->family(), leg.tos);
  }
  return std::move(*ports);
}

template <typename Part>
void SessionManager::replace(Session& session, std::unique_ptr<Part>& part,
                             std::unique_ptr<Part> by) {
  if (part == by) return;  // both none
  std::swap(part, by);
  const PlaneTicket ticket = name_attachments(session);
  if (by) graveyard_.add(std::move(by), ticket);
}

PlaneTicket SessionManager::name_attachments(Session& session) {
  for (const LegId id : kLegs) {
    const SessionLeg& leg = session.leg(id);
    LegSpec& spec = session.leg_spec(id);
    spec.taps.fill(nullptr);
    std::transform(leg.taps.begin(), leg.taps.end(), spec.taps.begin(),
                   [](const auto& tap) { return tap.get(); });
    spec.transform = leg.transform.get();
    spec.source = leg.source.get();
  }
  return plane_.update(*session.flows, session.spec);
}

// What a deleted session still had.
PlaneTicket SessionManager::detach_all(Session& session) {
  std::vector<std::shared_ptr<void>> detached;
  for (const LegId id : kLegs) {
    SessionLeg& leg = session.leg(id);
    for (auto& tap : leg.taps) detached.emplace_back(std::move(tap));
    leg.taps.clear();
    if (leg.transform) detached.emplace_back(std::move(leg.transform));
    if (leg.source) detached.emplace_back(std::move(leg.source));
  }
  if (detached.empty()) return {};
  const PlaneTicket ticket = name_attachments(session);
  for (auto& part : detached) graveyard_.add(std::move(part), ticket);
  return ticket;
}

}  // namespace relay
