// How sessions end. Forking proxies send one D for every branch that is rejected, and the call is
// the other branches'. So a D that names a to-tag ends the session only when no other to-tag has
// answered, and even then it lingers: a further branch's L or U within the grace time revives it
// with the same ports.
#include <algorithm>

#include "relay/base/log.h"
#include "relay/session/session_manager.h"
#include "relay/session/tags.h"

namespace relay {
namespace {

constexpr size_t kRemoveAllStep = 256;

bool has_answer(const Session& session, std::string_view tag) {
  return std::any_of(session.answers.begin(), session.answers.end(), [&](const Answer& answer) {
    return match_tag(answer.tag, tag) != TagMatch::none;
  });
}

std::string_view before_branch(std::string_view call_id) {
  return call_id.substr(0, call_id.find(';'));
}

}  // namespace

size_t SessionManager::remove(std::string_view call_id, std::string_view from,
                              std::optional<std::string_view> to, bool weak) {
  size_t touched = 0;
  if (!from.empty()) {
    touched = remove_exact(call_id, from, to, weak);
  } else if (to) {
    touched = remove_without_from(table_.of_call(call_id), *to, weak);
  }
  return touched != 0 ? touched : remove_similar(call_id, from, to, weak);
}

size_t SessionManager::remove_exact(std::string_view call_id, std::string_view from,
                                    std::optional<std::string_view> to, bool weak) {
  size_t touched = 0;
  for (Session* session : table_.of_call(call_id)) {
    if (session->lingering) continue;
    TagMatch match = match_tag(session->from_tag, from);
    bool ended = false;
    if (match != TagMatch::none) {
      ended = release(*session, LegId::caller, weak, to);
    } else if (to && (match = match_tag(session->from_tag, *to)) != TagMatch::none) {
      ended = release(*session, LegId::callee, weak, from);
    } else {
      continue;
    }
    ++touched;
    if (ended && match == TagMatch::exact) break;
  }
  return touched;
}

// OpenSIPS rtp_relay: the D of a BYE, with an empty from-tag. It never sends one for a rejected
// branch, so this ends the session whoever else answered.
size_t SessionManager::remove_without_from(const std::vector<Session*>& sessions,
                                           std::string_view to, bool weak) {
  size_t touched = 0;
  for (Session* session : sessions) {
    if (session->lingering) continue;
    const bool own = match_tag(session->from_tag, to) != TagMatch::none;
    const bool unanswered = session->answers.empty();
    if (!own && !unanswered && !has_answer(*session, to)) continue;
    release(*session, own ? LegId::callee : LegId::caller, weak, std::nullopt);
    ++touched;
  }
  return touched;
}

// The proxy forgot the suffix that it gave the call-id, or gives another one: any session of the
// same base is meant if a tag fits too.
size_t SessionManager::remove_similar(std::string_view call_id, std::string_view from,
                                      std::optional<std::string_view> to, bool weak) {
  const std::string_view base = before_branch(call_id);
  std::vector<Session*> candidates = table_.of_similar_calls(base);
  if (base != call_id) {
    const std::vector<Session*> plain = table_.of_call(base);
    candidates.insert(candidates.end(), plain.begin(), plain.end());
  }
  size_t touched = 0;
  for (Session* session : candidates) {
    if (session->lingering) continue;
    const auto fits = [&](std::string_view tag) {
      return !tag.empty() && match_tag(session->from_tag, tag) != TagMatch::none;
    };
    if (fits(from)) {
      release(*session, LegId::caller, weak, to);
    } else if (to && fits(*to)) {
      release(*session, LegId::callee, weak, from);
    } else if (to && from.empty() && has_answer(*session, *to)) {
      release(*session, LegId::caller, weak, std::nullopt);
    } else {
      continue;
    }
    ++touched;
  }
  return touched;
}

// Takes back one reference: the strong one, or the weak one of `reference`. `partner` is the other
// tag of the D. True when the session ended.
//
// rtpproxy's mapping of weak references is kept: Uw sets the callee leg's, Dw by the same tag
// clears the caller leg's.
bool SessionManager::release(Session& session, LegId reference, bool weak,
                             std::optional<std::string_view> partner) {
  const bool by_owner = reference == LegId::caller;
  if (!weak && partner && !session.answers.empty()) {
    const bool answered = has_answer(session, *partner);
    if (answered && session.answers.size() > 1) {
      note(session, SessionEvent::rejected_branch);
      drop_answer(session, *partner);
      return false;
    }
    // The rejected branch never answered, another one did.
    if (!answered && by_owner && !session.answered_without_tag) {
      note(session, SessionEvent::rejected_branch);
      return false;
    }
  }
  if (weak) {
    session.leg(reference).weak = false;
  } else {
    session.strong = false;
  }
  if (session.strong || session.weak()) return false;
  if (by_owner && partner && limits_.fork_grace.count() > 0) {
    linger(session, *partner);
  } else {
    end(session);
  }
  return true;
}

void SessionManager::drop_answer(Session& session, std::string_view tag) {
  std::erase_if(session.answers,
                [&](const Answer& answer) { return match_tag(answer.tag, tag) != TagMatch::none; });
  if (session.answers.empty() || !session.answers.back().signalled) return;
  LegSpec& callee = session.leg_spec(LegId::callee);
  if (callee.signalled == session.answers.back().signalled) return;
  callee.signalled = session.answers.back().signalled;
  ++callee.signalled_count;
  plane_.update(*session.flows, session.spec);
}

void SessionManager::linger(Session& session, std::string_view rejected) {
  count_end(session, SessionEnd::deleted);
  session.lingering = true;
  session.answered = false;
  note(session, SessionEvent::lingering);
  session.lingers_until = clock_.now() + limits_.fork_grace;
  session.rejected_tag = rejected;
  session.answers.clear();
  session.spec.complete = false;
  end_forks_into(session);
  end_forks_of(session, detach_all(session));
  plane_.update(*session.flows, session.spec);
  lingering_.push_back(session.serial);
  arm_no_later(session);
}

bool SessionManager::evict_oldest_lingering() {
  while (!lingering_.empty()) {
    Session* session = table_.by_serial(lingering_.front());
    lingering_.pop_front();
    if (session == nullptr || !session->lingering) continue;
    end(*session);
    return true;
  }
  return false;
}

void SessionManager::count_end(Session& session, SessionEnd how) {
  session.ended = clock_.now();
  session.ending = how;
  ++counters_.destroyed;
  counters_.total_duration += clock_.now() - session.created;
}

void SessionManager::end(Session& session, SessionEnd how) {
  if (!session.lingering) count_end(session, how);
  log_debug("session ended call_id={} from_tag={}", quoted(session.call_id),
            quoted(session.from_tag));
  end_forks_into(session);
  const PlaneTicket ticket = plane_.remove(*session.flows);
  end_forks_of(session, ticket);
  graveyard_.add(table_.take(session), ticket);
  graveyard_.sweep_oldest();
}

void SessionManager::remove_all(SessionEnd how) {
  for (auto sessions = table_.after(0, kRemoveAllStep); !sessions.empty();
       sessions = table_.after(0, kRemoveAllStep)) {
    for (Session* session : sessions) end(*session, how);
  }
}

}  // namespace relay
