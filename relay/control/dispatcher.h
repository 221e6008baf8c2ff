// From a command's text to its reply's text. Control thread.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/clock.h"
#include "relay/config/config.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/handlers.h"
#include "relay/control/prompts.h"
#include "relay/flow/forwarding_plane.h"
#include "relay/session/session_manager.h"

namespace relay {

class Dispatcher final : public CommandExecutor {
 public:
  // All outlive the dispatcher. `control` is what `J stats` shows of the control sockets; without a
  // recorder R fails.
  Dispatcher(const StartupConfig& config, SessionManager& sessions, ForwardingPlane& plane,
             const Clock& clock, const ControlCounters* control = nullptr,
             Recorder* recorder = nullptr);

  std::string execute(std::string_view command, const CommandOrigin& origin) override;
  void begin_burst() override { plane_.cork(); }
  void end_burst() override { plane_.uncork(); }
  void count_duplicate() override { ++counters_.duplicates; }

  // From now on there is M3; `events` outlives the dispatcher.
  void offer_dtmf(DtmfEvents& events) { context_.dtmf.events = &events; }
  // `J stats` shows them from now on; they outlive the dispatcher.
  void show(const AcctCounters& counters) { context_.accounting = &counters; }
  // From now on P and C know AI voice endpoints. `voices` outlives the dispatcher.
  void set_voices(VoiceCalls& voices) { context_.voices = &voices; }
  // For metrics.
  const HandlerContext& context() const { return context_; }

  // Once a second: takes off prompts that have ended and, now and then, measures the packet rate.
  void tick();
  const CommandCounters& counters() const { return counters_; }

 private:
  std::string reply_to(std::string_view command, bool& succeeded);
  void measure_rate(Duration at_least);

  ForwardingPlane& plane_;
  const Clock& clock_;
  CommandCounters counters_;
  double packets_per_second_ = 0;
  uint64_t last_received_ = 0;
  Instant rate_measured_;
  Prompts prompts_;
  HandlerContext context_;
};

// The configuration in the words of session/.
SessionSettings to_session_settings(const StartupConfig& config);
SessionLimits to_session_limits(const RuntimeConfig& config);

}  // namespace relay
