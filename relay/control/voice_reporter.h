// Who is told of what voice sessions tell: webhooks, and the notification socket of the call's
// session. Control thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relay/config/config.h"
#include "relay/control/notifier.h"
#include "relay/control/notify_targets.h"
#include "relay/control/voice_notice.h"
#include "relay/session/session_table.h"

namespace relay {

struct VoiceReporting {
  std::vector<WebhookTarget> webhooks;
  bool notify = false;  // sockets, too
};
// Reads secrets; the error names the line of the file.
Result<VoiceReporting> load_voice_reporting(const VoiceConfig& config);

// A webhook that is away has many events waiting: the newest are worth more, and each has a number
// that tells of those missing.
NotifierLimits voice_event_limits();

class VoiceReporter {
 public:
  // Notifier and table outlive the reporter. The notifier is not that of time-outs: these must not
  // wait behind events, nor yield to them.
  VoiceReporter(const StartupConfig& config, Notifier& notifier, const SessionTable& sessions);

  void set(VoiceReporting reporting) { reporting_ = std::move(reporting); }
  // For VoiceCalls::on_notice().
  void report(const VoiceNotice& notice);

 private:
  struct Listener {
    LineTarget target;
    std::string tag;
  };
  const Listener* listener_of(const VoiceNotice& notice);

  const NotifyTargets targets_;
  Notifier& notifier_;
  const SessionTable& sessions_;
  VoiceReporting reporting_;
  std::map<VoiceId, Listener> listeners_;  // of voice sessions that have told something
};

}  // namespace relay
