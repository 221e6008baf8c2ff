#include "relay/session/graveyard.h"

#include <algorithm>
#include <utility>

#include "relay/base/log.h"

namespace relay {
namespace {

bool heard(const FlowGroup& flows, LegId leg, Component component) {
  return flows.stats_of(leg, component).first_accepted_ns.load(std::memory_order_relaxed) != 0;
}

void count_silence(const FlowGroup& flows, Component component, uint64_t& nobody, uint64_t& one) {
  const bool callee = heard(flows, LegId::callee, component);
  const bool caller = heard(flows, LegId::caller, component);
  if (!callee && !caller) ++nobody;
  if (callee != caller) ++one;
}

}  // namespace

void Graveyard::add(std::unique_ptr<Session> session, const PlaneTicket& ticket) {
  graves_.push_back({ticket, std::move(session), nullptr});
}

void Graveyard::add(std::shared_ptr<void> part, const PlaneTicket& ticket) {
  graves_.push_back({ticket, nullptr, std::move(part)});
}

void Graveyard::sweep(size_t at_most) {
  for (auto grave = graves_.begin(); grave != graves_.end() && at_most > 0; --at_most) {
    if (!has_settled(*grave)) {
      ++grave;
      continue;
    }
    if (grave->session) {
      add_up(*grave->session);
      if (settled_callback_) settled_callback_(*grave->session);
    }
    grave = graves_.erase(grave);
  }
}

bool Graveyard::has_settled(const Grave& grave) const {
  if (!plane_.settled(grave.ticket)) return false;
  if (!grave.session || !grave.session->forks) return true;
  const auto& pending = grave.session->forks->pending;
  return std::all_of(pending.begin(), pending.end(),
                     [&](const PlaneTicket& ticket) { return plane_.settled(ticket); });
}

void Graveyard::abandon() {
  if (graves_.empty()) return;
  log_error("the forwarding plane has not let go count={}", graves_.size());
  static_cast<void>(new std::list<Grave>(std::move(graves_)));
  graves_.clear();
}

void Graveyard::add_up(const Session& session) {
  const FlowGroup& flows = *session.flows;
  for (const LegId leg : kLegs) {
    const AnalyserTotals analysis = flows.analysis_of(leg);
    totals_.sent += analysis.sent;
    totals_.received += analysis.received;
    totals_.duplicates += analysis.duplicates;
    totals_.lost += analysis.lost();
    totals_.parse_errors += analysis.parse_errors;
  }
  if (!session.counted_complete) return;
  count_silence(flows, Component::rtp, totals_.without_rtp, totals_.one_way_rtp);
  count_silence(flows, Component::rtcp, totals_.without_rtcp, totals_.one_way_rtcp);
}

}  // namespace relay
