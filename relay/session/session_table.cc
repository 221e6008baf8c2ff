#include "relay/session/session_table.h"

#include <algorithm>

#include "relay/base/assert.h"
#include "relay/session/tags.h"

namespace relay {
namespace {

bool is_callers_counterpart(const Session& session, std::string_view from, std::string_view to) {
  switch (match_tag(session.from_tag, to)) {
    case TagMatch::exact:
      return true;
    case TagMatch::prefix:
      return media_number(session.from_tag) == media_number(from);
    case TagMatch::none:
      break;
  }
  return false;
}

}  // namespace

Session& SessionTable::add(std::unique_ptr<Session> session) {
  Session& added = *session;
  added.serial = ++last_serial_;
  by_serial_.emplace(added.serial, &added);
  if (const auto base = base_call_id(added.call_id)) {
    by_base_[std::string(*base)].emplace(added.serial, &added);
  }
  by_call_id_[added.call_id].push_back(std::move(session));
  return added;
}

std::unique_ptr<Session> SessionTable::take(Session& session) {
  by_serial_.erase(session.serial);
  if (const auto base = base_call_id(session.call_id)) {
    const auto entry = by_base_.find(*base);
    entry->second.erase(session.serial);
    if (entry->second.empty()) by_base_.erase(entry);
  }
  const auto entry = by_call_id_.find(session.call_id);
  RELAY_ASSERT(entry != by_call_id_.end());
  auto& sessions = entry->second;
  const auto place = std::find_if(sessions.begin(), sessions.end(),
                                  [&](const auto& s) { return &*s == &session; });
  RELAY_ASSERT(place != sessions.end());
  std::unique_ptr<Session> taken = std::move(*place);
  sessions.erase(place);
  if (sessions.empty()) by_call_id_.erase(entry);
  return taken;
}

std::optional<SessionTable::Match> SessionTable::find(std::string_view call_id,
                                                      std::string_view from,
                                                      std::optional<std::string_view> to,
                                                      Which which) const {
  const auto entry = by_call_id_.find(call_id);
  if (entry == by_call_id_.end()) return std::nullopt;
  for (const auto& session : entry->second) {
    if (session->lingering != (which == Which::lingering)) continue;
    if (session->from_tag == from) return Match{session.get(), LegId::callee};
    if (to && is_callers_counterpart(*session, from, *to)) {
      return Match{session.get(), LegId::caller};
    }
  }
  return std::nullopt;
}

std::vector<Session*> SessionTable::of_call(std::string_view call_id) const {
  std::vector<Session*> result;
  if (const auto entry = by_call_id_.find(call_id); entry != by_call_id_.end()) {
    for (const auto& session : entry->second) result.push_back(session.get());
  }
  return result;
}

std::vector<Session*> SessionTable::of_similar_calls(std::string_view base) const {
  std::vector<Session*> result;
  if (const auto entry = by_base_.find(base); entry != by_base_.end()) {
    for (const auto& [serial, session] : entry->second) result.push_back(session);
  }
  return result;
}

Session* SessionTable::by_serial(uint64_t serial) const {
  const auto entry = by_serial_.find(serial);
  return entry == by_serial_.end() ? nullptr : entry->second;
}

std::vector<Session*> SessionTable::after(uint64_t serial, size_t limit) const {
  std::vector<Session*> result;
  for (auto entry = by_serial_.upper_bound(serial);
       entry != by_serial_.end() && result.size() < limit; ++entry) {
    result.push_back(entry->second);
  }
  return result;
}

}  // namespace relay
