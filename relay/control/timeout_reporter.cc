#include "relay/control/timeout_reporter.h"

#include <algorithm>
#include <string>

#include "relay/base/log.h"

namespace relay {
namespace {

bool answered(const Session& session) {
  return !session.answers.empty() || session.answered_without_tag;
}

// Neither a Call-ID nor a tag of SIP may hold a semicolon (RFC 3261 §25.1): what follows one are
// the media number and the branch that proxies add.
std::string as_in_sip(const std::string& text) {
  return text.substr(0, text.find(';'));
}

}  // namespace

TimeoutReporter::TimeoutReporter(const StartupConfig& config, Notifier& notifier,
                                 const SessionTable& sessions)
    : targets_(config.notify_targets), notifier_(notifier), sessions_(sessions) {
  if (config.notify_all) all_ = to_notify_target(*config.notify_all);
}

// A line goes out for each session, as from rtpproxy: what it says was chosen for that medium. A
// dialog and --notify-all are about the call, so they wait for its last medium: a video that was
// put on hold must not end the call.
void TimeoutReporter::report(const Session& session) {
  tell(session, call_goes_on(session));
}

void TimeoutReporter::hang_up(const Session& session) {
  if (!session.notification && !all_) {
    log_warning("nobody to be told that the call is to be hung up call_id={}",
                quoted(session.call_id));
  }
  tell(session, false);
}

void TimeoutReporter::tell(const Session& session, bool goes_on) {
  std::optional<NotifyTarget> named;
  if (session.notification) named = targets_.find(session.notification->socket);
  const LineTarget* lines = named ? std::get_if<LineTarget>(&*named) : nullptr;
  const RpcTarget* rpc = named ? std::get_if<RpcTarget>(&*named) : nullptr;
  if (lines != nullptr) notifier_.notify(*lines, session.notification->tag);
  if ((rpc == nullptr && !all_) || goes_on) return;
  if (rpc != nullptr) terminate(*rpc, session);
  if (!all_ || (named && name_of(*named) == name_of(*all_))) return;
  if (const auto* rpc_for_all = std::get_if<RpcTarget>(&*all_)) {
    return terminate(*rpc_for_all, session);
  }
  notifier_.notify(std::get<LineTarget>(*all_), session.call_id);
}

// An offer nobody answered (a video the callee declined) does not keep a call alive that was
// answered.
bool TimeoutReporter::call_goes_on(const Session& session) const {
  const auto sessions = sessions_.of_call(session.call_id);
  return std::any_of(sessions.begin(), sessions.end(), [&](const Session* other) {
    return other != &session && !other->lingering && (answered(*other) || !answered(session));
  });
}

void TimeoutReporter::terminate(const RpcTarget& target, const Session& session) {
  // Without an answer there is no dialog yet, and the proxy's own timers end the INVITE.
  if (session.answers.empty()) {
    log_info("no answer so far, no dialog to end call_id={}", quoted(session.call_id));
    return;
  }
  notifier_.terminate_dialog(target, {as_in_sip(session.call_id), as_in_sip(session.from_tag),
                                      as_in_sip(session.answers.back().tag)});
}

}  // namespace relay
