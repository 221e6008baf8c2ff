// Who is told what when a session times out, or when a call is to be ended for another reason.
// Control thread.
#pragma once

#include <optional>

#include "relay/config/config.h"
#include "relay/control/notifier.h"
#include "relay/control/notify_targets.h"
#include "relay/session/session_table.h"

namespace relay {

class TimeoutReporter {
 public:
  // Notifier and table outlive the reporter.
  TimeoutReporter(const StartupConfig& config, Notifier& notifier, const SessionTable& sessions);

  // For SessionManager::on_timeout(): the session is still in the table.
  void report(const Session& session);
  // The same, whatever else the call does: its proxy is to end it.
  void hang_up(const Session& session);

 private:
  void tell(const Session& session, bool goes_on);
  bool call_goes_on(const Session& session) const;
  void terminate(const RpcTarget& target, const Session& session);

  const NotifyTargets targets_;
  std::optional<NotifyTarget> all_;  // --notify-all
  Notifier& notifier_;
  const SessionTable& sessions_;
};

}  // namespace relay
