#include "relay/control/voice_reporter.h"

#include <nlohmann/json.hpp>

#include "relay/control/webhook.h"

namespace relay {

using namespace std::chrono_literals;

Result<VoiceReporting> load_voice_reporting(const VoiceConfig& config) {
  auto webhooks = load_webhooks(config);
  if (!webhooks) return tl::unexpected(webhooks.error());
  return VoiceReporting{std::move(*webhooks), config.notify};
}

NotifierLimits voice_event_limits() {
  NotifierLimits limits;
  limits.drops_oldest = true;
  limits.doubtful_tries = 10;
  limits.retry_first = 250ms;
  return limits;
}

VoiceReporter::VoiceReporter(const StartupConfig& config, Notifier& notifier,
                             const SessionTable& sessions)
    : targets_(config.notify_targets), notifier_(notifier), sessions_(sessions) {}

// The end of a voice session may come after that of its call: what the session said last counts.
const VoiceReporter::Listener* VoiceReporter::listener_of(const VoiceNotice& notice) {
  const Session* session = sessions_.by_serial(notice.session_serial);
  if (session != nullptr) {
    listeners_.erase(notice.id);
    const auto target = session->notification ? targets_.find(session->notification->socket)
                                              : std::optional<NotifyTarget>();
    const auto* lines = target ? std::get_if<LineTarget>(&*target) : nullptr;
    if (lines != nullptr) listeners_[notice.id] = {*lines, session->notification->tag};
  }
  const auto found = listeners_.find(notice.id);
  return found != listeners_.end() ? &found->second : nullptr;
}

void VoiceReporter::report(const VoiceNotice& notice) {
  if (reporting_.webhooks.empty() && !reporting_.notify) return;
  const std::string line = to_json_line(to_json(notice));
  for (const WebhookTarget& webhook : reporting_.webhooks) notifier_.notify(webhook, line);
  if (!reporting_.notify) return listeners_.clear();
  if (const Listener* listener = listener_of(notice)) {
    notifier_.notify(listener->target, listener->tag + " voice " + line);
  }
  const auto& event = notice.report.event;
  if (event && event->kind == VoiceEventKind::ended) listeners_.erase(notice.id);
}

}  // namespace relay
