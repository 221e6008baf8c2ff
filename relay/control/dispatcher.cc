#include "relay/control/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <variant>

#include "ctlproto/parse.h"
#include "relay/base/log.h"

namespace relay {

namespace {

// The plane's counters are a sum over all flows, so nobody takes it each second for a rate that is
// hardly ever asked for: a rate is over the time since it was last measured, from one bound to the
// other.
constexpr Duration kRateOverAtLeast = std::chrono::seconds(1);
constexpr Duration kRateOverAtMost = std::chrono::seconds(10);

}  // namespace

std::string error_reply(int code) {
  return "E" + std::to_string(code);
}

SessionSettings to_session_settings(const StartupConfig& config) {
  SessionSettings settings;
  for (const LocalAddressConfig& entry : config.local_addresses) {
    settings.local_addresses.push_back({entry.label, entry.bind, entry.advertised});
  }
  settings.bridging = config.bridging;
  settings.ports = {config.port_min, config.port_max, config.sequential_ports, config.tos, 0};
  settings.policy =
      config.latch_policy == LatchPolicyDefault::compat ? LatchPolicy::compat : LatchPolicy::strict;
  settings.asymmetric_by_default =
      config.force_asymmetric || (config.bridging && !config.bridge_symmetric);
  settings.duplicate_small_packets = config.duplicate_small_packets;
  return settings;
}

SessionLimits to_session_limits(const RuntimeConfig& config) {
  SessionLimits limits;
  limits.ttl = {config.ttl, config.setup_ttl, config.independent_ttl, config.prompt_ttl};
  limits.fork_grace = config.fork_grace;
  limits.overload = {config.overload_protection, config.overload_cpu_percent, config.sessions_max};
  return limits;
}

Dispatcher::Dispatcher(const StartupConfig& config, SessionManager& sessions,
                       ForwardingPlane& plane, const Clock& clock,
                       const ControlCounters* control, Recorder* recorder)
    : plane_(plane),
      clock_(clock),
      rate_measured_(clock.now()),
      prompts_(config.prompt_directories, sessions, clock),
      context_{sessions, plane,    clock,     NotifyTargets(config.notify_targets),
               control,  prompts_, counters_, packets_per_second_} {
  const auto dtmf_instances = static_cast<int>(config.modules.count(ModuleId::catch_dtmf));
  context_.dtmf.instances = std::max(1, dtmf_instances);
  context_.recording = {recorder, config.record_all, !config.record_no_rtcp};
}

std::string Dispatcher::reply_to(std::string_view command, bool& succeeded) {
  const auto request = ctlproto::parse_request(command);
  if (!request) {
    context_.refusals.warning("command refused command={} reason={}", quoted(command),
                              request.error().message);
    succeeded = false;
    return error_reply(request.error().code);
  }
  const bool may_tell_rate = std::holds_alternative<ctlproto::Stats>(*request) ||
                             std::holds_alternative<ctlproto::Json>(*request);
  if (may_tell_rate) measure_rate(kRateOverAtLeast);
  std::string reply =
      std::visit([&](const auto& asked) { return handle(context_, asked); }, *request);
  const bool unknown_lookup = reply == "0" && std::holds_alternative<ctlproto::Lookup>(*request);
  succeeded = !reply.starts_with('E') && !unknown_lookup;
  return reply;
}

std::string Dispatcher::execute(std::string_view command, const CommandOrigin& origin) {
  ++counters_.received;
  context_.origin = origin;
  bool succeeded = false;
  std::string reply = reply_to(command, succeeded);
  ++counters_.replied;
  ++(succeeded ? counters_.succeeded : counters_.errors);
  if (!reply.ends_with('\n')) reply += '\n';
  return reply;
}

void Dispatcher::tick() {
  prompts_.sweep();
  measure_rate(kRateOverAtMost);
}

void Dispatcher::measure_rate(Duration at_least) {
  const Instant now = clock_.now();
  if (now - rate_measured_ < at_least) return;
  const double elapsed = std::chrono::duration<double>(now - rate_measured_).count();
  const uint64_t received = received_by_complete_sessions(plane_.counters());
  packets_per_second_ = static_cast<double>(received - last_received_) / elapsed;
  last_received_ = received;
  rate_measured_ = now;
}

}  // namespace relay
