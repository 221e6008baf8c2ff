// `&& C`: what the parties of one session, the source, send is copied to those of another, the
// target. The taps that do it belong to the source and use the target's sockets and flows; a
// session may be the target of several others and the source of several, and any of them may end
// first. So whatever the target lets go of stays until the planes have let go of the taps.
#include <algorithm>
#include <utility>

#include "relay/session/session_manager.h"

namespace relay {
namespace {

SessionForks& forks_of(Session& session) {
  if (!session.forks) session.forks = std::make_unique<SessionForks>();
  return *session.forks;
}

}  // namespace

bool SessionManager::fork(Session& source, LegId first, Session& target, LegId first_into) {
  if (&source == &target) return false;
  for (const LegId leg : kLegs) {
    if (source.leg(leg).taps.size() >= LegSpec::kTapsMax) return false;
  }
  if (!target.spec.forked) {
    target.spec.forked = true;
    plane_.update(*target.flows, target.spec);
  }
  forks_of(source).into.push_back(target.serial);
  for (const LegId leg : kLegs) {
    const LegId into = leg == first ? first_into : other(first_into);
    forks_of(target).from.push_back({source.serial, leg, into, copy_to(source, leg, target, into)});
  }
  return true;
}

const Tap* SessionManager::copy_to(Session& source, LegId leg, Session& target, LegId into) {
  auto tap = plane_.fork_into(*target.flows, target.spec, into);
  const Tap* attached = tap.get();
  attach(source, leg, std::move(tap));
  return attached;
}

// The leg of a target has other sockets, or its first ones.
void SessionManager::move_forks(Session& target, LegId into, std::shared_ptr<void> replaced) {
  if (!target.forks) return;
  for (SessionForks::Copy& copy : target.forks->from) {
    Session* source = table_.by_serial(copy.source_serial);
    if (copy.into != into || source == nullptr) continue;
    const PlaneTicket ticket = detach(*source, copy.leg, *copy.tap);
    if (replaced) graveyard_.add(replaced, ticket);
    target.forks->pending.push_back(ticket);
    copy.tap = copy_to(*source, copy.leg, target, into);
  }
}

// Nothing is copied into it any more.
void SessionManager::end_forks_into(Session& target) {
  if (!target.forks) return;
  SessionForks& forks = *target.forks;
  for (const SessionForks::Copy& copy : std::exchange(forks.from, {})) {
    Session* source = table_.by_serial(copy.source_serial);
    if (source == nullptr) continue;
    forks.pending.push_back(detach(*source, copy.leg, *copy.tap));
    std::erase(source->forks->into, target.serial);
  }
  target.spec.forked = false;
}

// Its taps have been let go of with `ticket`.
void SessionManager::end_forks_of(Session& source, const PlaneTicket& ticket) {
  if (!source.forks) return;
  for (const uint64_t serial : std::exchange(source.forks->into, {})) {
    Session* target = table_.by_serial(serial);
    if (target == nullptr) continue;
    SessionForks& forks = *target->forks;
    std::erase_if(forks.from, [&](const SessionForks::Copy& copy) {
      return copy.source_serial == source.serial;
    });
    std::erase_if(forks.pending, [&](const PlaneTicket& old) { return plane_.settled(old); });
    forks.pending.push_back(ticket);
  }
}

}  // namespace relay
