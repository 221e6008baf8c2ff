#include "relay/config/describe.h"

#include <fmt/core.h>

#include <utility>
#include <vector>

#include "relay/base/log.h"

namespace relay {
namespace {

std::string describe_address(const LocalAddressConfig& address) {
  std::string text = address.label.empty() ? "" : address.label + "@";
  text += address.bind.to_string();
  if (!address.advertised.empty()) text += "=" + address.advertised;
  return text;
}

template <typename List, typename Text>
std::string join(const List& list, Text text) {
  std::string joined;
  for (const auto& item : list) {
    if (!joined.empty()) joined += ' ';
    joined += text(item);
  }
  return joined.empty() ? "none" : joined;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
    case LogLevel::critical:
      return "critical";
  }
  return "";
}

std::string describe_symmetry(const StartupConfig& startup) {
  if (startup.force_asymmetric) return "asymmetric";
  if (!startup.bridging) return "symmetric";
  return startup.bridge_symmetric ? "symmetric" : "asymmetric";
}

std::string describe_overload(const RuntimeConfig& runtime) {
  if (!runtime.overload_protection) return "off";
  return fmt::format("above {} % CPU", runtime.overload_cpu_percent);
}

std::string or_none(const std::string& text) {
  return text.empty() ? "none" : text;
}

using Row = std::pair<std::string_view, std::string>;

std::vector<Row> startup_rows(const StartupConfig& startup) {
  std::vector<Row> rows;
  rows.emplace_back("control sockets",
                    join(startup.control_sockets, [](const auto& socket) { return socket.text; }));
  rows.emplace_back("media addresses", join(startup.local_addresses, describe_address));
  rows.emplace_back("bridging", startup.bridging ? "internal/external, the first two" : "off");
  rows.emplace_back(
      "media ports",
      fmt::format("{}..{}, {} pairs, {}", startup.port_min, startup.port_max, port_pairs(startup),
                  startup.sequential_ports ? "in order" : "at random"));
  rows.emplace_back("tos", startup.tos < 0 ? "left alone" : fmt::format("{}", startup.tos));
  rows.emplace_back("latching",
                    startup.latch_policy == LatchPolicyDefault::strict ? "strict" : "compat");
  rows.emplace_back("learning", describe_symmetry(startup));
  rows.emplace_back("fast path", startup.fastpath == FastpathChoice::off         ? "off"
                                 : startup.fastpath == FastpathChoice::automatic ? "auto"
                                                                                 : "require");
  rows.emplace_back("workers", startup.worker_threads == 0
                                   ? "one a CPU"
                                   : fmt::format("{}", startup.worker_threads));
  rows.emplace_back("worker priority",
                    fmt::format("{}", startup.worker_priority.value_or(kDefaultWorkerPriority)));
  rows.emplace_back("runs in", startup.foreground ? "the foreground" : "the background");
  rows.emplace_back("pid file", or_none(startup.pid_file));
  rows.emplace_back("user", or_none(startup.user));
  rows.emplace_back("group", or_none(startup.group));
  rows.emplace_back("open files", startup.nofile_limit ? fmt::format("{}", *startup.nofile_limit)
                                                       : "raised to the hard limit");
  rows.emplace_back("log level", level_name(startup.log_level));
  rows.emplace_back("log to", startup.syslog_facility ? "syslog" : "standard error");
  rows.emplace_back("prompt directories",
                    join(startup.prompt_directories, [](const std::string& path) { return path; }));
  rows.emplace_back("notification sockets",
                    join(startup.notify_targets, [](const auto& target) { return target.text; }));
  rows.emplace_back("notify of all timeouts",
                    startup.notify_all ? startup.notify_all->text : "nobody");
  rows.emplace_back("call records, CSV", or_none(startup.acct_csv_file));
  rows.emplace_back("call records, JSON", or_none(startup.acct_json_file));
  rows.emplace_back("HEP collectors", join(startup.hep_collectors,
                                           [](const auto& collector) { return collector.text; }));
  rows.emplace_back("HTTP", startup.http ? startup.http->to_string() : "none");
  rows.emplace_back("configuration file", or_none(startup.config_file));
  return rows;
}

}  // namespace

size_t port_pairs(const StartupConfig& startup) {
  const int first_even = startup.port_min + (startup.port_min & 1);
  const int pairs = (startup.port_max - first_even + 1) / 2;
  return pairs > 0 ? static_cast<size_t>(pairs) : 0;
}

std::string describe(const Config& config) {
  std::vector<Row> rows = startup_rows(config.startup);
  const RuntimeConfig& runtime = config.runtime;
  rows.emplace_back("session timeout",
                    fmt::format("{} s, {} s until both parties are known, {}", runtime.ttl.count(),
                                runtime.setup_ttl.count(),
                                runtime.independent_ttl ? "each direction" : "both directions"));
  rows.emplace_back("prompt timeout", runtime.prompt_ttl.count() == 0
                                          ? "none"
                                          : fmt::format("{} s", runtime.prompt_ttl.count()));
  rows.emplace_back("fork grace", fmt::format("{} s", runtime.fork_grace.count()));
  rows.emplace_back("sessions at most", runtime.sessions_max == 0
                                            ? "as ports allow"
                                            : fmt::format("{}", runtime.sessions_max));
  rows.emplace_back("overload protection", describe_overload(runtime));
  rows.emplace_back("voice profiles",
                    join(runtime.voice.profiles, [](const auto& profile) { return profile.name; }));
  for (const std::string& notice : config.startup.notices) rows.emplace_back("notice", notice);
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("{:<23}{}\n", name, value);
  return text;
}

std::string describe_in_line(const Config& config) {
  const StartupConfig& startup = config.startup;
  return fmt::format(
      "control={} media={} bridging={} ports={}-{} latch={} learning={} ttl={} setup_ttl={}",
      quoted(join(startup.control_sockets, [](const auto& socket) { return socket.text; }), 512),
      quoted(join(startup.local_addresses, describe_address), 512), startup.bridging,
      startup.port_min, startup.port_max,
      startup.latch_policy == LatchPolicyDefault::strict ? "strict" : "compat",
      describe_symmetry(startup), config.runtime.ttl.count(), config.runtime.setup_ttl.count());
}

}  // namespace relay
