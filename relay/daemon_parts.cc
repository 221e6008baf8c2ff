// The daemon's parts that a configuration may leave out: AI voice endpoints, HTTP.
#include "relay/base/log.h"
#include "relay/control/metrics.h"
#include "relay/daemon.h"

namespace relay {
namespace {

VoiceLimits limits_of(const VoiceConfig& config) {
  return {config.sessions_max, config.starts_per_minute};
}

}  // namespace

Result<Daemon::VoiceSetup> Daemon::load_voice(const VoiceConfig& config) {
  auto profiles = load_voice_profiles(config);
  if (!profiles) return tl::unexpected(profiles.error());
  const auto types = make_payload_types(config);
  if (!types) return tl::unexpected(types.error());
  auto reporting = load_voice_reporting(config);
  if (!reporting) return tl::unexpected(reporting.error());
  return VoiceSetup{std::move(*profiles), *types, std::move(*reporting)};
}

// A reload of the configuration file may bring profiles, so with one the thread is there.
Result<void> Daemon::open_voice() {
  auto setup = load_voice(config_.runtime.voice);
  if (!setup) return tl::unexpected(setup.error());
  voice_setup_ = std::move(*setup);
  if (voice_setup_.profiles.empty() && config_.startup.config_file.empty()) return {};
  auto thread = VoiceThread::start(limits_of(config_.runtime.voice));
  if (!thread) return tl::unexpected(thread.error());
  voice_thread_ = std::move(*thread);
  voice_engine_ = std::make_unique<VoiceService>(*voice_thread_, [this](VoiceReport report) {
    loop_->post([this, report = std::move(report)] { voices_->on_report(report); });
  });
  return {};
}

void Daemon::connect_voice() {
  if (!voice_engine_) return;
  voices_ =
      std::make_unique<VoiceCalls>(*sessions_, *voice_engine_, voice_setup_.payload_types, clock_);
  voices_->set_profiles(voice_setup_.profiles);
  voices_->set_rules(config_.runtime.voice.rules);
  voices_->on_consequence({[this](Session& session, LegId listener, const Prompts::Wanted& wanted) {
                             return dispatcher_->context().prompts.play(session, listener, wanted);
                           },
                           [this](const Session& session) { timeouts_->hang_up(session); }});
  dispatcher_->set_voices(*voices_);
  voice_notifier_ = std::make_unique<Notifier>(
      *loop_, clock_, voice_event_counters(control_counters_), voice_event_limits());
  voice_reporter_ =
      std::make_unique<VoiceReporter>(config_.startup, *voice_notifier_, sessions_->table());
  voice_reporter_->set(std::move(voice_setup_.reporting));
  voices_->on_notice([this](const VoiceNotice& notice) { voice_reporter_->report(notice); });
}

Result<void> Daemon::check_announcements(const VoiceProfiles& profiles) const {
  for (const auto& [name, profile] : profiles) {
    if (profile->on_fail != VoiceFailPolicy::play) continue;
    const auto checked = dispatcher_->context().prompts.check(profile->on_fail_file);
    if (!checked)
      return tl::unexpected(with_context(*profile->line_of("on_fail"), checked.error()));
  }
  return {};
}

// Running dialogues keep the profile they began with.
void Daemon::reload_voice(const VoiceConfig& config, VoiceSetup setup) {
  if (!voices_) return;
  voices_->set_profiles(std::move(setup.profiles));
  voice_reporter_->set(std::move(setup.reporting));
  voices_->set_payload_types(setup.payload_types);
  voices_->set_rules(config.rules);
  const bool told = voice_thread_->post(
      [thread = voice_thread_.get(), limits = limits_of(config)] { thread->set_limits(limits); });
  if (!told) log_error("the voice thread does not keep up, its limits stay as they were");
}

Result<void> Daemon::open_http() {
  if (!config_.startup.http) return {};
  auto http = HttpServer::create(
      *loop_, *config_.startup.http,
      {*dispatcher_, [this] { return prometheus_text(dispatcher_->context(), control_counters_); },
       [this] { return !sessions_->draining(); }});
  if (!http) return tl::unexpected(http.error());
  http_ = std::move(*http);
  return {};
}

}  // namespace relay
