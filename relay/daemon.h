// The composition root: the only place that names all parts. Members are in start order, so that
// destruction is the reverse. Lives in the control thread.
#pragma once

#include <memory>

#include "relay/acct/accounting.h"
#include "relay/base/clock.h"
#include "relay/base/process.h"
#include "relay/base/result.h"
#include "relay/config/config.h"
#include "relay/control/control_counters.h"
#include "relay/control/control_server.h"
#include "relay/control/dispatcher.h"
#include "relay/control/dtmf_reporter.h"
#include "relay/control/event_loop.h"
#include "relay/control/http_server.h"
#include "relay/control/notifier.h"
#include "relay/control/timeout_reporter.h"
#include "relay/control/voice_calls.h"
#include "relay/control/voice_reporter.h"
#include "relay/dataplane/worker_pool.h"
#include "relay/fastpath/fastpath.h"
#include "relay/media/recorder.h"
#include "relay/session/media_sockets.h"
#include "relay/session/offloader.h"
#include "relay/session/session_manager.h"
#include "relay/voice/voice_service.h"
#include "relay/voice/voice_thread.h"

namespace relay {

class Daemon {
 public:
  // Everything is open and listening when this returns; `pid_file` is removed at the end.
  static Result<std::unique_ptr<Daemon>> start(const Config& config, PidFile pid_file);
  // Until a stop signal, or until drained. The exit status.
  int run();

 private:
  Daemon(const Config& config, PidFile pid_file);
  Result<void> open();
  Result<void> open_fast_path();
  void start_offloading();
  // daemon_parts.cc
  struct VoiceSetup {  // what [voice] says, its files and secrets read
    VoiceProfiles profiles;
    PayloadTypes payload_types;
    VoiceReporting reporting;
  };
  static Result<VoiceSetup> load_voice(const VoiceConfig& config);
  Result<void> open_voice();
  void connect_voice();
  Result<void> check_announcements(const VoiceProfiles& profiles) const;
  void reload_voice(const VoiceConfig& config, VoiceSetup setup);
  Result<void> open_http();

  void offload();
  void prefer_workers();
  Result<void> open_recorder();
  Result<void> handle_signals();
  void report_dtmf();
  void check_local_addresses();
  void on_stop_signal(int number);
  void drain(const char* reason);
  void stop_if_drained();
  void every_second();
  void reload();

  const Config config_;
  PidFile pid_file_;
  SteadyClock clock_;
  KernelSocketFactory sockets_;
  ControlCounters control_counters_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Notifier> notifier_, voice_notifier_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<DtmfEvents> dtmf_events_;
  std::unique_ptr<WorkerPool> slow_path_;
  std::unique_ptr<Fastpath> fast_path_;
  std::unique_ptr<Offloader> plane_;
  std::unique_ptr<Accounting> accounting_;
  VoiceSetup voice_setup_;  // as started
  std::unique_ptr<VoiceThread> voice_thread_;
  std::unique_ptr<VoiceService> voice_engine_;
  std::unique_ptr<SessionManager> sessions_;
  std::unique_ptr<VoiceReporter> voice_reporter_;
  std::unique_ptr<VoiceCalls> voices_;
  std::unique_ptr<TimeoutReporter> timeouts_;
  std::unique_ptr<DtmfReporter> dtmf_;
  std::unique_ptr<FdEvent> dtmf_wake_up_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Timer> second_;
  std::unique_ptr<Timer> offload_tick_;
  std::unique_ptr<FdEvent> offload_attention_;
  std::unique_ptr<FdEvent> network_change_;
  int drained_seconds_ = 0;
};

}  // namespace relay
