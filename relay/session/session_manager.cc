#include "relay/session/session_manager.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/log.h"
#include "relay/session/tags.h"

namespace relay {
namespace {

// No session is looked at later than this after the last look, so that entries of sessions that
// have gone leave the queue.
constexpr Duration kLookAtLeastEvery = std::chrono::seconds(60);
// A plane settles within a few packets' time; a command may wait that long for its ports.
constexpr int kSettleTries = 50;
constexpr auto kSettleStep = std::chrono::milliseconds(1);
constexpr int kShutdownSettleTries = 5000;

tl::unexpected<Refused> refuse(Refusal why, std::string message) {
  return tl::unexpected<Refused>({why, std::move(message)});
}

}  // namespace

SessionManager::SessionManager(SessionSettings settings, const SessionLimits& limits,
                               SocketFactory& sockets, ForwardingPlane& plane, const Clock& clock)
    : settings_(std::move(settings)),
      limits_(limits),
      sockets_(sockets),
      plane_(plane),
      clock_(clock),
      ports_(settings_.ports, sockets),
      graveyard_(plane),
      overload_(limits.overload) {
  RELAY_ASSERT(settings_.local_addresses.size() >= (settings_.bridging ? 2U : 1U));
}

SessionManager::~SessionManager() {
  remove_all(SessionEnd::shut_down);
  for (int i = 0; i < kShutdownSettleTries && !graveyard_.empty(); ++i) {
    graveyard_.sweep();
    if (!graveyard_.empty()) std::this_thread::sleep_for(kSettleStep);
  }
  graveyard_.abandon();
}

void SessionManager::set_limits(const SessionLimits& limits) {
  limits_ = limits;
  overload_.set(limits.overload);
}

tl::expected<MediaAnswer, Refused> SessionManager::update(const MediaRequest& request) {
  const auto plans = choose_local(request);
  if (!plans) return tl::unexpected<Refused>(plans.error());
  if (auto checked = check_remote(request.media); !checked) {
    return tl::unexpected<Refused>(std::move(checked.error()));
  }
  auto match = table_.find(request.call_id, request.from_tag, request.to_tag);
  if (!match) {
    match = table_.find(request.call_id, request.from_tag, request.to_tag,
                        SessionTable::Which::lingering);
    if (match && !would_open_alike(*match, *plans)) {
      end(*match->session);
      match.reset();
    }
    if (match) resurrect(*match->session);
  }
  if (!match) return create(request, *plans);
  return answer(*match->session, match->leg_of_update, request, *plans, true);
}

tl::expected<MediaAnswer, Refused> SessionManager::lookup(const MediaRequest& request) {
  const auto plans = choose_local(request);
  if (!plans) return tl::unexpected<Refused>(plans.error());
  if (auto checked = check_remote(request.media); !checked) {
    return tl::unexpected<Refused>(std::move(checked.error()));
  }
  auto match = table_.find(request.call_id, request.from_tag, request.to_tag);
  if (!match) {
    match = table_.find(request.call_id, request.from_tag, request.to_tag,
                        SessionTable::Which::lingering);
    // Another branch has answered. A late answer of the one that was rejected revives nothing.
    const bool other_branch =
        match && request.to_tag && match->leg_of_update == LegId::callee &&
        match_tag(*request.to_tag, match->session->rejected_tag) == TagMatch::none;
    if (!other_branch) return refuse(Refusal::unknown_session, "no such session");
    resurrect(*match->session);
  }
  return answer(*match->session, other(match->leg_of_update), request, *plans, false);
}

SessionManager::Answered SessionManager::create(const MediaRequest& request, const Plans& plans) {
  if (draining_) return refuse(Refusal::draining, "shutting down, new sessions are refused");
  if (overload_.refuses(active())) {
    return refuse(Refusal::overloaded,
                  fmt::format("{} sessions, CPU {:.0f} %: new sessions are refused", active(),
                              overload_.cpu_percent()));
  }
  auto ports = open_ports(plans.by_leg[index(LegId::callee)].bind);
  if (!ports) return refuse(Refusal::no_ports_for_session, std::move(ports.error().message));

  auto owned = std::make_unique<Session>();
  owned->call_id = request.call_id;
  owned->from_tag = request.from_tag;
  owned->created = clock_.now();
  owned->flows = std::make_unique<FlowGroup>();
  owned->spec.duplicate_small_packets = settings_.duplicate_small_packets;
  Session& session = table_.add(std::move(owned));
  for (const LegId leg : kLegs) {
    session.leg(leg).local = plans.by_leg[index(leg)];
    session.leg(leg).refreshed = session.created;
    session.leg_spec(leg).policy =
        settings_.asymmetric_by_default ? LatchPolicy::asymmetric : settings_.policy;
  }
  note(session, SessionEvent::created);
  session.strong = !request.weak;
  session.leg(LegId::callee).weak = request.weak;
  LegSpec& callee = session.leg_spec(LegId::callee);
  callee.sockets = {ports->rtp_socket(), ports->rtcp_socket()};
  callee.local = ports->local();
  session.leg(LegId::callee).ports.emplace(std::move(*ports));
  describe(session, LegId::caller, request);
  if (request.notification) {
    session.notification = std::make_unique<Notification>(*request.notification);
  }
  plane_.install(*session.flows, session.spec);
  ++counters_.created;
  arm(session, session.deadline(limits_.ttl));
  log_info("session created call_id={} from_tag={} local={}", quoted(session.call_id),
           quoted(session.from_tag), callee.local.to_string());
  if (open_callback_) open_callback_(session);
  return media_answer(session, LegId::callee);
}

SessionManager::Answered SessionManager::answer(Session& session, LegId answered,
                                                const MediaRequest& request, const Plans& plans,
                                                bool is_update) {
  SessionLeg& leg = session.leg(answered);
  std::optional<PortPair> replaced;
  const bool opens = !leg.ports || request.new_port;
  if (opens) {
    LocalPlan plan = leg.local;
    if (plans.forced) plan = plans.by_leg[index(answered)];
    if (!plans.forced && plans.for_new_port && request.new_port) {
      plan = plans.by_leg[index(LegId::callee)];
    }
    if (auto opened = open_leg(session, answered, plan, replaced); !opened) {
      return tl::unexpected<Refused>(std::move(opened.error()));
    }
  }
  if (request.weak) {
    leg.weak = true;
  } else if (is_update) {
    session.strong = true;
  }
  if (is_update) {
    session.notification =
        request.notification ? std::make_unique<Notification>(*request.notification) : nullptr;
  }
  if (is_update && answered == LegId::callee && request.to_tag) {
    confirm_answer(session, *request.to_tag);
  }
  complete_if_open(session);
  if (answered == LegId::caller && !session.answered) {
    session.answered = true;
    ++counters_.answered;
  }
  for (SessionLeg& each : session.legs) each.refreshed = clock_.now();
  describe(session, other(answered), request);

  const PlaneTicket ticket = plane_.update(*session.flows, session.spec);
  std::shared_ptr<void> closing;
  if (replaced) closing = std::make_shared<PortPair>(std::move(*replaced));
  if (opens) move_forks(session, answered, closing);
  if (closing) graveyard_.add(std::move(closing), ticket);
  arm_no_later(session);
  return media_answer(session, answered);
}

tl::expected<void, Refused> SessionManager::open_leg(Session& session, LegId id,
                                                     const LocalPlan& plan,
                                                     std::optional<PortPair>& replaced) {
  auto ports = open_ports(plan.bind);
  if (!ports) return refuse(Refusal::no_ports_for_leg, std::move(ports.error().message));
  SessionLeg& leg = session.leg(id);
  if (leg.ports) replaced.emplace(std::move(*leg.ports));
  if (replaced) note(session, SessionEvent::new_ports, id);
  leg.ports.reset();
  leg.ports.emplace(std::move(*ports));
  leg.local = plan;
  LegSpec& spec = session.leg_spec(id);
  spec.sockets = {leg.ports->rtp_socket(), leg.ports->rtcp_socket()};
  spec.local = leg.ports->local();
  if (leg.tos >= 0) set_tos(session, id, leg.tos);
  return {};
}

// What the described party's side of the command says replaces all that an earlier one said,
// except for the address: an unusable one, or hold, leaves the last good one in place.
void SessionManager::describe(Session& session, LegId described, const MediaRequest& request) {
  LegSpec& spec = session.leg_spec(described);
  SessionLeg& leg = session.leg(described);
  ++spec.signalled_count;
  // As rtpproxy counts it: an address that is unusable tells nothing about hold.
  if (request.hold) ++leg.holds;
  if (request.hold || request.media) leg.on_hold = request.hold;
  // Port 0 rejects a stream (RFC 3264 §6); there is nowhere to send.
  if (!request.media || request.media->port == 0) {
    note(session, SessionEvent::held, described);
  } else {
    const bool changed = spec.signalled && spec.signalled != request.media;
    if (changed) note(session, SessionEvent::signalled_changed, described);
    spec.signalled = request.media;
  }
  const bool asymmetric = request.symmetry == Symmetry::unset
                              ? settings_.asymmetric_by_default
                              : request.symmetry == Symmetry::asymmetric;
  spec.policy = asymmetric ? LatchPolicy::asymmetric : settings_.policy;
  spec.with_codecs = !request.codecs.empty();
  leg.codecs = request.codecs;
  leg.ptime_ms = request.ptime_ms;
  if (described == LegId::callee) note_answer(session, request);
}

void SessionManager::note_answer(Session& session, const MediaRequest& request) {
  if (!request.to_tag) {
    if (!session.answered_without_tag) note(session, SessionEvent::answered);
    session.answered_without_tag = true;
    return;
  }
  const bool from_is_own = session.from_tag == request.from_tag;
  const std::string_view partner = from_is_own ? *request.to_tag : request.from_tag;
  auto& answers = session.answers;
  const auto known = std::find_if(answers.begin(), answers.end(),
                                  [&](const Answer& answer) { return answer.tag == partner; });
  // Moved to the end: media goes to who answered last.
  Answer answer{std::string(partner), request.media};
  if (known == answers.end()) {
    note(session, SessionEvent::answered);
  } else {
    if (!answer.signalled) answer.signalled = known->signalled;
    answers.erase(known);
  }
  answers.push_back(std::move(answer));
  // Nobody forks a call that wide; whoever does loses the oldest branch's address only.
  constexpr size_t kAnswersMax = 32;
  if (answers.size() > kAnswersMax) answers.erase(answers.begin());
}

// A request of the caller within the dialog with `tag`: the other branches have lost, also those
// whose rejection the proxy did not pass on.
void SessionManager::confirm_answer(Session& session, std::string_view tag) {
  const auto is_it = [&](const Answer& answer) { return answer.tag == tag; };
  if (std::none_of(session.answers.begin(), session.answers.end(), is_it)) return;
  std::erase_if(session.answers, [&](const Answer& answer) { return !is_it(answer); });
}

void SessionManager::complete_if_open(Session& session) {
  if (!session.both_open()) return;
  if (!session.spec.complete) note(session, SessionEvent::complete);
  session.spec.complete = true;
  if (session.counted_complete) return;
  session.counted_complete = true;
  ++counters_.completed;
}

// A further attempt of a serial fork may go to another network; its ports must be there then.
bool SessionManager::would_open_alike(const SessionTable::Match& match, const Plans& plans) {
  if (match.leg_of_update != LegId::callee) return true;
  const auto alike = [&](LegId leg) {
    const LocalPlan& current = match.session->leg(leg).local;
    const LocalPlan& wanted = plans.by_leg[index(leg)];
    return current.bind == wanted.bind && current.advertised == wanted.advertised;
  };
  return alike(LegId::callee) && alike(LegId::caller);
}

void SessionManager::resurrect(Session& session) {
  session.lingering = false;
  session.rejected_tag.clear();
  session.created = clock_.now();
  note(session, SessionEvent::revived);
  session.spec.complete = session.both_open();
  ++counters_.created;
  ++counters_.resurrected;
  log_info("session revived by another branch call_id={}", quoted(session.call_id));
  if (open_callback_) open_callback_(session);
}

tl::expected<PortPair, PoolFailure> SessionManager::open_ports(const IpAddress& local) {
  auto ports = ports_.open(local);
  if (!ports) plane_.uncork();
  bool spared = false;
  for (int i = 0; i < kSettleTries && !ports && ports.error().exhausted; ++i) {
    // What calls can do without goes first, then what has been deleted, then what is only kept for
    // a late fork branch.
    const bool spares = ports.error().no_descriptors && plane_.spare_descriptors();
    // What was spared last may have been closed since the last try.
    if (!spares && !spared && graveyard_.empty() && !evict_oldest_lingering()) break;
    spared = spares;
    graveyard_.sweep();
    ports = ports_.open(local);
    if (!ports) std::this_thread::sleep_for(kSettleStep);
  }
  return ports;
}

MediaAnswer SessionManager::media_answer(Session& session, LegId answered) const {
  const SessionLeg& leg = session.leg(answered);
  return {&session, answered, leg.ports->local(), leg.local.advertised};
}

void SessionManager::set_ttl(Session& session, LegId id, std::chrono::seconds ttl) {
  for (const LegId leg : kLegs) {
    if (leg != id && limits_.ttl.independent) continue;
    session.leg(leg).ttl_s = static_cast<uint32_t>(ttl.count());
    session.leg(leg).refreshed = clock_.now();
  }
  arm_no_later(session);
}

bool SessionManager::set_tos(Session& session, LegId id, int tos) {
  SessionLeg& leg = session.leg(id);
  const Family family = leg.ports ? leg.ports->local().address.family() : leg.local.bind.family();
  if (tos < 0 || tos > 255) return false;
  leg.tos = tos;
  if (!leg.ports) return true;
  const bool rtp = sockets_.set_tos(leg.ports->rtp_socket(), family, tos);
  const bool rtcp = sockets_.set_tos(leg.ports->rtcp_socket(), family, tos);
  plane_.update(*session.flows, session.spec);  // what does not leave by the sockets, too
  return rtp && rtcp;
}

std::chrono::seconds SessionManager::remaining_ttl(const Session& session) const {
  const Duration left = session.deadline(limits_.ttl) - clock_.now();
  return std::max(std::chrono::ceil<std::chrono::seconds>(left), std::chrono::seconds(0));
}

void SessionManager::note(Session& session, SessionEvent event) {
  session.flows->events.add(clock_.now(), event);
}

void SessionManager::note(Session& session, SessionEvent event, LegId leg) {
  session.flows->events.add(clock_.now(), event, leg);
}

void SessionManager::arm(Session& session, Instant at) {
  session.armed_at = std::min(at, clock_.now() + kLookAtLeastEvery);
  wakes_.push({session.armed_at, session.serial});
}

void SessionManager::arm_no_later(Session& session) {
  const Instant deadline = session.deadline(limits_.ttl);
  if (deadline < session.armed_at) arm(session, deadline);
}

// Activity moves a session's deadline without telling anybody; it is noticed when the deadline
// that was last known comes, so that a busy session costs one look a TTL.
void SessionManager::expire() {
  graveyard_.sweep();
  const Instant now = clock_.now();
  while (!wakes_.empty() && wakes_.top().at <= now) {
    const Wake wake = wakes_.top();
    wakes_.pop();
    Session* session = table_.by_serial(wake.serial);
    if (session == nullptr || session->armed_at != wake.at) continue;
    const Instant deadline = session->deadline(limits_.ttl);
    if (deadline > now) {
      arm(*session, deadline);
      continue;
    }
    if (!session->lingering) {
      ++counters_.timed_out;
      log_info("session timed out call_id={} from_tag={}", quoted(session->call_id),
               quoted(session->from_tag));
      if (timeout_callback_) timeout_callback_(*session);
    }
    end(*session, SessionEnd::timed_out);
  }
}

}  // namespace relay
