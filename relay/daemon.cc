#include "relay/daemon.h"

#include <sys/resource.h>

#include <algorithm>

#include "relay/base/allocator.h"
#include "relay/base/log.h"
#include "relay/config/describe.h"
#include "relay/config/toml_file.h"

namespace relay {
namespace {

Duration cpu_time_used() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto to_duration = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return to_duration(usage.ru_utime) + to_duration(usage.ru_stime);
}

// A flow for each media port there is; at about 1 KiB of kernel memory a flow, at most 128 MiB.
uint32_t kernel_flows_max(const StartupConfig& startup) {
  const size_t ports = 2 * port_pairs(startup) * startup.local_addresses.size();
  return static_cast<uint32_t>(std::min<size_t>(ports, 131'072));
}

AcctSettings to_acct_settings(const StartupConfig& startup, size_t worker_threads) {
  AcctSettings settings{startup.acct_csv_file, startup.acct_json_file, {}, worker_threads};
  for (const HepCollectorConfig& collector : startup.hep_collectors) {
    settings.collectors.push_back({collector.tcp, collector.endpoint, collector.capture_id});
  }
  return settings;
}

}  // namespace

Daemon::Daemon(const Config& config, PidFile pid_file)
    : config_(config), pid_file_(std::move(pid_file)) {}

Result<std::unique_ptr<Daemon>> Daemon::start(const Config& config, PidFile pid_file) {
  std::unique_ptr<Daemon> daemon(new Daemon(config, std::move(pid_file)));
  if (auto opened = daemon->open(); !opened) return tl::unexpected(opened.error());
  return daemon;
}

Result<void> Daemon::open() {
  const StartupConfig& startup = config_.startup;
  auto loop = EventLoop::create();
  if (!loop) return tl::unexpected(loop.error());
  loop_ = std::move(*loop);
  notifier_ = std::make_unique<Notifier>(*loop_, clock_, timeout_counters(control_counters_));
  if (auto handled = handle_signals(); !handled) return handled;
  if (auto started = start_allocator_thread(); !started) log_warning("{}", started.error().message);

  if (auto recorder = open_recorder(); !recorder) return recorder;
  if (auto voice = open_voice(); !voice) return voice;
  auto dtmf_events = DtmfEvents::create();
  if (!dtmf_events) return tl::unexpected(dtmf_events.error());
  dtmf_events_ = std::move(*dtmf_events);
  auto plane = WorkerPool::start(startup.worker_threads);
  if (!plane) return tl::unexpected(plane.error());
  slow_path_ = std::move(*plane);
  prefer_workers();
  if (auto fast_path = open_fast_path(); !fast_path) return fast_path;
  plane_ = std::make_unique<Offloader>(*slow_path_, *fast_path_, clock_);
  sessions_ = std::make_unique<SessionManager>(
      to_session_settings(startup), to_session_limits(config_.runtime), sockets_, *plane_, clock_);
  timeouts_ = std::make_unique<TimeoutReporter>(startup, *notifier_, sessions_->table());
  sessions_->on_timeout([this](const Session& session) { timeouts_->report(session); });
  dispatcher_ = std::make_unique<Dispatcher>(startup, *sessions_, *plane_, clock_,
                                             &control_counters_, recorder_.get());
  report_dtmf();
  connect_voice();

  auto control = ControlServer::create(*loop_, startup, *dispatcher_, control_counters_,
                                       [this] { drain("end of standard input"); });
  if (!control) return tl::unexpected(control.error());
  control_ = std::move(*control);
  if (auto http = open_http(); !http) return http;
  check_local_addresses();
  second_ = std::make_unique<Timer>(*loop_, [this] { every_second(); });
  second_->start_repeating(std::chrono::seconds(1));
  if (fast_path_->available()) start_offloading();

  // Last: sockets and pid file may need what an unprivileged user lacks.
  const auto keep = fast_path_->available() ? KeptCapabilities::bpf : KeptCapabilities::none;
  if (auto dropped = drop_privileges(startup.user, startup.group, keep); !dropped) return dropped;
  // As the user who has to open the files again: to play them, or when they were rotated.
  if (auto checked = check_announcements(voice_setup_.profiles); !checked) return checked;
  auto accounting = Accounting::start(to_acct_settings(startup, slow_path_->threads()), *sessions_);
  if (!accounting) return tl::unexpected(accounting.error());
  accounting_ = std::move(*accounting);
  dispatcher_->show(accounting_->counters());
  if (auto written = pid_file_.write(); !written) return written;
  if (recorder_) {
    // Calls are worth more than their recordings.
    auto tried = recorder_->try_out();
    if (!tried) log_error("calls will not be recorded reason={}", tried.error().message);
  }
  return {};
}

// Their default is a wish, for containers rarely allow it.
void Daemon::prefer_workers() {
  const StartupConfig& startup = config_.startup;
  const int priority = startup.worker_priority.value_or(kDefaultWorkerPriority);
  if (priority == 0 || !startup.realtime_policy.empty()) return;
  auto set = slow_path_->set_realtime_priority(priority);
  if (set) return;
  if (startup.worker_priority) {
    log_warning("{}", set.error().message);
  } else {
    log_info("{}", set.error().message);
  }
}

Result<void> Daemon::open_recorder() {
  const StartupConfig& startup = config_.startup;
  if (startup.record_directory.empty()) return {};
  RecorderSettings settings;
  settings.directory = startup.record_directory;
  settings.spool_directory = startup.spool_directory;
  switch (startup.record_format) {
    case RecordFormatChoice::adhoc:
      settings.format = RecordFormat::adhoc;
      break;
    case RecordFormatChoice::pcap:
      settings.format = RecordFormat::pcap;
      break;
    case RecordFormatChoice::wav:
      settings.format = RecordFormat::wav;
  }
  settings.with_rtcp = !startup.record_no_rtcp;
  settings.threads = WorkerPool::threads_for(startup.worker_threads);
  auto recorder = Recorder::start(settings);
  if (!recorder) return tl::unexpected(recorder.error());
  recorder_ = std::move(*recorder);
  return {};
}

void Daemon::report_dtmf() {
  const auto tell = [this](const LineTarget& target, std::string line) {
    notifier_->notify(target, std::move(line));
  };
  dtmf_ = std::make_unique<DtmfReporter>(config_.startup, *dtmf_events_, sessions_->table(), tell);
  dtmf_wake_up_ = std::make_unique<FdEvent>(*loop_, dtmf_events_->descriptor(), FdReady::readable,
                                            [this] { dtmf_->report(); });
  dtmf_wake_up_->start();
  dispatcher_->offer_dtmf(*dtmf_events_);
}

Result<void> Daemon::open_fast_path() {
  const StartupConfig& startup = config_.startup;
  if (startup.fastpath == FastpathChoice::off) {
    fast_path_ = no_fastpath("fast path: off (--fastpath)");
    return {};
  }
  FastpathOptions options;
  options.mode =
      startup.fastpath == FastpathChoice::require ? FastpathMode::require : FastpathMode::automatic;
  for (const LocalAddressConfig& address : startup.local_addresses) {
    if (!address.bind.is_any()) options.listen.push_back(address.bind);
  }
  options.interfaces = startup.fastpath_interfaces;
  options.flows_max = kernel_flows_max(startup);
  // Sessions do not survive this process, so their flows in the kernel must not, either.
  options.pin = false;
  auto opened = Fastpath::open(options);
  if (!opened) return tl::unexpected(opened.error());
  fast_path_ = std::move(*opened);
  if (fast_path_->available()) slow_path_->recognise_copies(fast_path_->tee_mark());
  log_warning("{}", fast_path_->status());
  return {};
}

void Daemon::start_offloading() {
  offload_tick_ = std::make_unique<Timer>(*loop_, [this] { offload(); });
  if (plane_->attention_descriptor() >= 0) {
    offload_attention_ = std::make_unique<FdEvent>(
        *loop_, plane_->attention_descriptor(), FdReady::readable, [this] {
          offload_attention_->stop();  // until then, more may call
          offload_tick_->start_once(Offloader::kTick);
        });
  }
  offload();
  if (fast_path_->network_descriptor() < 0) return;
  network_change_ =
      std::make_unique<FdEvent>(*loop_, fast_path_->network_descriptor(), FdReady::readable,
                                [this] { fast_path_->on_network_change(); });
  network_change_->start();
}

void Daemon::offload() {
  plane_->tick();
  if (offload_attention_) offload_attention_->start();
  offload_tick_->start_once(plane_->until_next_tick());
}

Result<void> Daemon::handle_signals() {
  const bool can_reload = !config_.startup.config_file.empty();
  for (const int number : kStopSignals) {
    if (number == SIGUSR2 && can_reload) continue;
    auto added = loop_->add_signal(number, [this, number] { on_stop_signal(number); });
    if (!added) return added;
  }
  if (can_reload) {
    if (auto added = loop_->add_signal(SIGUSR2, [this] { reload(); }); !added) return added;
  }
  return loop_->add_signal(SIGHUP, [this] { drain("SIGHUP"); });
}

// An address may come later (VRRP, DHCP), so a missing one is a warning; until then U fails.
void Daemon::check_local_addresses() {
  for (const LocalAddressConfig& address : config_.startup.local_addresses) {
    if (address.bind.is_any() || sockets_.is_local(address.bind)) continue;
    log_warning("media address is not on this host, calls on it will be refused address={}",
                address.bind.to_string());
  }
}

int Daemon::run() {
  log_info("started {}", describe_in_line(config_));
  loop_->run();
  log_info("stopped sessions={}", sessions_->active());
  return 0;
}

void Daemon::on_stop_signal(int number) {
  log_info("stopping signal={}", number);
  for (const int other_number : kStopSignals) exit_at_once_on(other_number);
  loop_->stop();
}

void Daemon::drain(const char* reason) {
  log_warning("draining: new sessions are refused reason={} sessions={}", quoted(reason),
              sessions_->active());
  sessions_->start_draining();
  stop_if_drained();
}

// The last sessions may have timed out, and somebody is to be told.
void Daemon::stop_if_drained() {
  if (!sessions_->drained() || notifier_->waiting() > 0) return;
  // Voice sessions take leave within four seconds, and their events are still to be told.
  if (voices_ && !voices_->running().empty() && ++drained_seconds_ < 10) return;
  if (voice_notifier_ && voice_notifier_->waiting() > 0) return;
  loop_->stop();
}

void Daemon::reload() {
  const StartupConfig& startup = config_.startup;
  const auto runtime = load_runtime(startup);
  auto voice =
      runtime.and_then([](const RuntimeConfig& loaded) { return load_voice(loaded.voice); });
  const auto checked = voice.and_then(
      [this](const VoiceSetup& setup) { return check_announcements(setup.profiles); });
  if (!checked) {
    log_error("reload failed, settings stay as they were reason={}",
              quoted(checked.error().message, 512));
    return;
  }
  reload_voice(runtime->voice, std::move(*voice));
  sessions_->set_limits(to_session_limits(*runtime));
  log_warning("reloaded file={}", quoted(startup.config_file));
}

void Daemon::every_second() {
  fast_path_->keep_alive();
  sessions_->expire();
  sessions_->overload().sample(cpu_time_used(), available_cpus(), clock_.now());
  dispatcher_->tick();
  if (voices_) voices_->tick();
  stop_if_drained();
}

}  // namespace relay
