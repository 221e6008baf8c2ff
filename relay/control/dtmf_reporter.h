// `M3`: who asks for DTMF events, and telling them. Control thread.
#pragma once

#include <functional>
#include <string>

#include "ctlproto/request.h"
#include "relay/control/notify_targets.h"
#include "relay/media/dtmf_tap.h"
#include "relay/session/session_manager.h"

namespace relay {

// Has the packets of the leg's party watched, as the sub-command says; again for a leg that is
// watched, only payload type and `h` change. False when it cannot be done.
bool watch_dtmf(SessionManager& sessions, Session& session, LegId leg,
                const ctlproto::SubModule& command, DtmfEvents& events);

class DtmfReporter {
 public:
  using Tell = std::function<void(const LineTarget& target, std::string line)>;

  // `events` and `sessions` outlive the reporter.
  DtmfReporter(const StartupConfig& config, DtmfEvents& events, const SessionTable& sessions,
               Tell tell);
  // Tells what has happened since, as `TAG DIGIT VOLUME DURATION SIDE`; side 0 is the caller.
  void report();

 private:
  const NotifyTargets targets_;
  DtmfEvents& events_;
  const SessionTable& sessions_;
  const Tell tell_;
};

}  // namespace relay
