#include "relay/config/settings.h"

#include <fmt/core.h>
#include <syslog.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "relay/base/process.h"
#include "relay/config/accounting.h"
#include "relay/config/choices.h"
#include "relay/config/control_socket.h"
#include "relay/config/local_address.h"
#include "relay/config/notify_target.h"
#include "relay/config/voice_settings.h"

namespace relay {
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int>::max();

// What is collected before it can be judged as a whole.
struct Draft {
  Config config;
  std::vector<Setting> sockets, addresses, notify_targets, modules, collectors;
  std::optional<Setting> advertised, port_min, port_max, spool_directory, pid_file, syslog_facility;
  std::optional<Setting> notify_all;
  std::optional<bool> bridge_symmetric;
  bool setup_ttl_given = false;
};

bool is_yes(const Setting& setting) {
  return setting.value == "yes";
}

Status set_seconds(std::chrono::seconds& member, const Setting& setting, int64_t min) {
  const auto value = parse_integer(setting, min, kIntMax);
  if (!value) return tl::unexpected(value.error());
  member = std::chrono::seconds(*value);
  return {};
}

Status set_flag(bool& member, const Setting& setting) {
  member = is_yes(setting);
  return {};
}

Status set_text(std::string& member, const Setting& setting) {
  if (setting.value.empty()) return refuse(setting, "the value is empty");
  member = setting.value;
  return {};
}

template <typename Kept>
Status keep(Kept& kept, const Setting& setting) {
  if constexpr (requires { kept.push_back(setting); }) {
    kept.push_back(setting);
  } else {
    kept = setting;
  }
  return {};
}

struct Facility {
  std::string_view name;
  int value;
};
constexpr Facility kFacilities[] = {
    {"AUTH", LOG_AUTH},     {"AUTHPRIV", LOG_AUTHPRIV}, {"CRON", LOG_CRON},
    {"DAEMON", LOG_DAEMON}, {"FTP", LOG_FTP},           {"KERN", LOG_KERN},
    {"LPR", LOG_LPR},       {"MAIL", LOG_MAIL},         {"NEWS", LOG_NEWS},
    {"SYSLOG", LOG_SYSLOG}, {"USER", LOG_USER},         {"UUCP", LOG_UUCP},
    {"LOCAL0", LOG_LOCAL0}, {"LOCAL1", LOG_LOCAL1},     {"LOCAL2", LOG_LOCAL2},
    {"LOCAL3", LOG_LOCAL3}, {"LOCAL4", LOG_LOCAL4},     {"LOCAL5", LOG_LOCAL5},
    {"LOCAL6", LOG_LOCAL6}, {"LOCAL7", LOG_LOCAL7}};

Status set_facility(StartupConfig& startup, const Setting& setting, std::string_view text) {
  std::string name;
  for (const char c : text) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (name.starts_with("LOG_")) name.erase(0, 4);
  for (const Facility& facility : kFacilities) {
    if (facility.name != name) continue;
    startup.syslog_facility = facility.value;
    return {};
  }
  return refuse(setting, "expected a syslog facility such as daemon or local0..local7");
}

Status set_log(StartupConfig& startup, const Setting& setting) {
  const std::string_view text = setting.value;
  const size_t colon = std::min(text.find(':'), text.size());
  const auto level = parse_log_level(text.substr(0, colon));
  if (!level) return refuse(setting, "expected a level, one of debug info warn err crit");
  startup.log_level = *level;
  if (colon == text.size()) return {};
  return set_facility(startup, setting, text.substr(colon + 1));
}

Status set_user(StartupConfig& startup, const Setting& setting) {
  const std::string_view text = setting.value;
  const size_t colon = std::min(text.find(':'), text.size());
  startup.user = text.substr(0, colon);
  startup.group = colon < text.size() ? text.substr(colon + 1) : "";
  if (startup.user.empty() && startup.group.empty()) {
    return refuse(setting, "expected USER, USER:GROUP or :GROUP");
  }
  if (!startup.user.empty()) {
    if (const auto user = find_user(startup.user); !user) {
      return refuse(setting, user.error().message);
    }
  }
  if (!startup.group.empty()) {
    if (const auto group = find_group(startup.group); !group) {
      return refuse(setting, group.error().message);
    }
  }
  return {};
}

Status set_socket_mode(StartupConfig& startup, const Setting& setting) {
  unsigned mode = 0;
  const char* const end = setting.value.data() + setting.value.size();
  const auto [rest, error] = std::from_chars(setting.value.data(), end, mode, 8);
  if (error != std::errc{} || rest != end || mode > 07777) {
    return refuse(setting, "expected an octal mode from 0 to 7777, such as 0660");
  }
  startup.unix_socket_mode = mode;
  return {};
}

Status set_overload(RuntimeConfig& runtime, const Setting& setting) {
  runtime.overload_protection = true;
  if (setting.value.empty()) return {};
  return set_number(runtime.overload_cpu_percent, setting, 1, 100);
}

Status set_setup_ttl(Draft& draft, const Setting& setting) {
  draft.setup_ttl_given = true;
  return set_seconds(draft.config.runtime.setup_ttl, setting, 1);
}

Status set_bridge_symmetric(Draft& draft, const Setting& setting) {
  draft.bridge_symmetric = is_yes(setting);
  return {};
}

Status apply_runtime(Draft& draft, const Setting& setting) {
  RuntimeConfig& runtime = draft.config.runtime;
  switch (setting.option) {
    case OptionId::ttl:
      return set_seconds(runtime.ttl, setting, 1);
    case OptionId::setup_ttl:
      return set_setup_ttl(draft, setting);
    case OptionId::independent_ttl:
      return set_flag(runtime.independent_ttl, setting);
    case OptionId::overload_protection:
      return set_overload(runtime, setting);
    case OptionId::sessions_max:
      return set_number(runtime.sessions_max, setting, 0, 10'000'000);
    case OptionId::prompt_ttl:
      return set_seconds(runtime.prompt_ttl, setting, 0);
    case OptionId::fork_grace:
      return set_seconds(runtime.fork_grace, setting, 0);
    case OptionId::voice:
      return set_voice(runtime.voice, setting);
    default:
      return {};
  }
}

Status apply_records(Draft& draft, const Setting& setting) {
  StartupConfig& startup = draft.config.startup;
  switch (setting.option) {
    case OptionId::record_directory:
      return set_text(startup.record_directory, setting);
    case OptionId::spool_directory:
      return keep(draft.spool_directory, setting);
    case OptionId::record_no_rtcp:
      return set_flag(startup.record_no_rtcp, setting);
    case OptionId::record_pcap:
      if (is_yes(setting)) startup.record_format = RecordFormatChoice::pcap;
      return {};
    case OptionId::record_format:
      return set_record_format(startup, setting);
    case OptionId::record_all:
      return set_flag(startup.record_all, setting);
    case OptionId::acct_csv:
      return set_text(startup.acct_csv_file, setting);
    case OptionId::acct_json:
      return set_text(startup.acct_json_file, setting);
    case OptionId::hep:
      return keep(draft.collectors, setting);
    case OptionId::prompt_directory:
      return add_prompt_directory(startup, setting);
    case OptionId::http:
      return set_http(startup, setting);
    default:
      return {};
  }
}

Status apply_relaying(Draft& draft, const Setting& setting) {
  StartupConfig& startup = draft.config.startup;
  switch (setting.option) {
    case OptionId::latch:
      return set_latch(startup, setting);
    case OptionId::fastpath:
      return set_fastpath(startup, setting);
    case OptionId::fastpath_interface:
      return set_fastpath_interface(startup, setting);
    case OptionId::workers:
      return set_number(startup.worker_threads, setting, 0, 64);
    case OptionId::worker_priority:
      return set_number(startup.worker_priority, setting, 0, 99);
    default:
      return apply_records(draft, setting);
  }
}

Status apply_startup(Draft& draft, const Setting& setting) {
  StartupConfig& startup = draft.config.startup;
  switch (setting.option) {
    case OptionId::duplicate_small:
      return set_flag(startup.duplicate_small_packets, setting);
    case OptionId::foreground:
      return set_flag(startup.foreground, setting);
    case OptionId::skip_superuser_check:
      return set_flag(startup.skip_superuser_check, setting);
    case OptionId::listen_ipv4:
    case OptionId::listen_ipv6:
      return keep(draft.addresses, setting);
    case OptionId::advertised:
      return keep(draft.advertised, setting);
    case OptionId::control_socket:
      return keep(draft.sockets, setting);
    case OptionId::tos:
      return set_number(startup.tos, setting, -1, 255);
    case OptionId::pid_file:
      return keep(draft.pid_file, setting);
    case OptionId::port_min:
      return keep(draft.port_min, setting);
    case OptionId::port_max:
      return keep(draft.port_max, setting);
    case OptionId::sequential_ports:
      return set_flag(startup.sequential_ports, setting);
    case OptionId::nofile_limit:
      return set_number(startup.nofile_limit, setting, 0, kIntMax);
    case OptionId::user:
      return set_user(startup, setting);
    case OptionId::socket_mode:
      return set_socket_mode(startup, setting);
    case OptionId::notify_target:
      return keep(draft.notify_targets, setting);
    case OptionId::notify_all:
      return keep(draft.notify_all, setting);
    case OptionId::log:
      return set_log(startup, setting);
    case OptionId::syslog_facility:
      return keep(draft.syslog_facility, setting);
    case OptionId::keep_working_directory:
      return set_flag(startup.keep_working_directory, setting);
    case OptionId::realtime_policy:
      return set_realtime(startup, setting);
    case OptionId::nice:
      return set_number(startup.nice, setting, -20, 20);
    case OptionId::module:
      return keep(draft.modules, setting);
    case OptionId::config_file:
      return set_text(startup.config_file, setting);
    case OptionId::bridge_symmetric:
      return set_bridge_symmetric(draft, setting);
    case OptionId::force_asymmetric:
      return set_flag(startup.force_asymmetric, setting);
    case OptionId::no_resolve:
      return set_flag(startup.numeric_only, setting);
    case OptionId::no_redirect:
      return set_flag(startup.keep_standard_streams, setting);
    default:
      return apply_relaying(draft, setting);
  }
}

std::string absolute(const std::string& path) {
  std::error_code ignored;
  const auto result = std::filesystem::absolute(path, ignored);
  return ignored ? path : result.string();
}

Status finish_ports(Draft& draft) {
  StartupConfig& startup = draft.config.startup;
  const auto set = [](uint16_t& port, const std::optional<Setting>& setting) -> Status {
    return setting ? set_number(port, *setting, 1, 65535) : Status{};
  };
  if (auto status = set(startup.port_min, draft.port_min); !status) return status;
  if (auto status = set(startup.port_max, draft.port_max); !status) return status;
  // Pairs are an even port and the next one.
  const int first_even = startup.port_min + (startup.port_min & 1);
  if (first_even + 1 <= startup.port_max) return {};
  const Setting& blamed = draft.port_max ? *draft.port_max : *draft.port_min;
  return refuse(blamed, fmt::format("no even port and its successor fit between {} and {}",
                                    startup.port_min, startup.port_max));
}

Status finish_sockets(Draft& draft, const ProcessFacts& process) {
  StartupConfig& startup = draft.config.startup;
  if (draft.sockets.empty()) {
    const auto text = process.called_as_rtpproxy ? kRtpproxySocketDefault : kControlSocketDefault;
    draft.sockets.push_back({OptionId::control_socket, std::string(text), "-s (default)"});
  }
  int standard_streams = 0;
  int inherited = 0;
  for (const Setting& setting : draft.sockets) {
    auto socket = parse_control_socket(setting, startup.numeric_only);
    if (!socket) return tl::unexpected(socket.error());
    if (socket->kind == ControlKind::stdio && !startup.foreground) {
      return refuse(setting, "commands on standard input need -f");
    }
    if ((socket->kind == ControlKind::stdio && ++standard_streams > 1) ||
        (socket->kind == ControlKind::systemd && ++inherited > 1)) {
      return refuse(setting, "this kind of control socket may be given once");
    }
    if (socket->kind == ControlKind::udp && process.superuser && startup.user.empty() &&
        !startup.skip_superuser_check) {
      return refuse(setting,
                    "refusing to serve a UDP control socket as superuser: run as another "
                    "user with -u USER, or insist with -F");
    }
    if (!socket->path.empty() && !startup.foreground && !startup.keep_working_directory) {
      const std::string in_root = absolute(socket->path);
      const Setting moved{setting.option, in_root, setting.source};
      if (auto checked = parse_control_socket(moved, true); !checked) {
        return tl::unexpected(checked.error());
      }
      socket->path = in_root;
    }
    startup.control_sockets.push_back(std::move(*socket));
  }
  if (process.superuser && startup.user.empty() && !startup.skip_superuser_check) {
    startup.notices.push_back("running as superuser without -u USER");
  }
  return {};
}

void add_notices(StartupConfig& startup) {
  const auto add = [&](bool given, std::string_view text) {
    if (given) startup.notices.emplace_back(text);
  };
  add(startup.record_all && startup.record_directory.empty(),
      "-a: no session is recorded without a recording directory, -r");
}

Status finish_process(Draft& draft, const ProcessFacts& process) {
  StartupConfig& startup = draft.config.startup;
  startup.called_as_rtpproxy = process.called_as_rtpproxy;
  startup.pid_file = process.called_as_rtpproxy ? kRtpproxyPidFileDefault : kPidFileDefault;
  if (draft.pid_file) {
    const std::string& path = draft.pid_file->value;
    startup.pid_file = path.empty() || path == "/dev/null" ? "" : absolute(path);
  }
  if (!startup.config_file.empty()) startup.config_file = absolute(startup.config_file);
  if (draft.spool_directory) {
    if (startup.record_directory.empty()) {
      return refuse(*draft.spool_directory, "a spool directory needs a recording directory, -r");
    }
    if (auto status = set_text(startup.spool_directory, *draft.spool_directory); !status) {
      return status;
    }
    startup.spool_directory = absolute(startup.spool_directory);
  }
  if (!startup.record_directory.empty()) {
    startup.record_directory = absolute(startup.record_directory);
  }
  if (draft.syslog_facility) {
    if (auto status = set_facility(startup, *draft.syslog_facility, draft.syslog_facility->value);
        !status) {
      return status;
    }
  }
  // As rtpproxy: syslog from the background, standard error alone in the foreground.
  if (startup.foreground) startup.syslog_facility.reset();
  if (!startup.foreground && !startup.syslog_facility) startup.syslog_facility = LOG_DAEMON;
  return {};
}

Status finish(Draft& draft, const ProcessFacts& process) {
  StartupConfig& startup = draft.config.startup;
  if (auto status = finish_process(draft, process); !status) return status;
  if (auto status = finish_ports(draft); !status) return status;
  if (auto status = finish_sockets(draft, process); !status) return status;
  if (auto status = set_notify_targets(startup, draft.notify_targets, draft.notify_all); !status) {
    return status;
  }
  if (auto status = finish_accounting(startup, draft.modules, draft.collectors); !status) {
    return status;
  }
  auto addresses = parse_local_addresses(draft.addresses, draft.advertised, startup.numeric_only);
  if (!addresses) return tl::unexpected(addresses.error());
  startup.local_addresses = std::move(addresses->list);
  startup.bridging = addresses->bridging;
  startup.bridge_symmetric =
      draft.bridge_symmetric.value_or(startup.latch_policy == LatchPolicyDefault::strict);
  add_notices(startup);
  return {};
}

bool is_address(OptionId option) {
  return option == OptionId::listen_ipv4 || option == OptionId::listen_ipv6;
}

Status apply_all_runtime(Draft& draft, const std::vector<Setting>& settings,
                         const StartupConfig& startup) {
  for (const Setting& setting : settings) {
    if (auto status = apply_runtime(draft, setting); !status) return status;
  }
  if (!draft.setup_ttl_given) draft.config.runtime.setup_ttl = draft.config.runtime.ttl;
  return finish_voice(draft.config.runtime.voice, {startup.local_addresses, startup.bridging});
}

}  // namespace

std::vector<Setting> merge_settings(std::vector<Setting> file,
                                    const std::vector<Setting>& command_line) {
  std::erase_if(file, [&](const Setting& old) {
    return std::any_of(command_line.begin(), command_line.end(), [&](const Setting& given) {
      // Modules add up, as with rtpproxy.
      if (given.option == OptionId::module) return false;
      if (given.option == OptionId::voice) return is_same_voice_key(given, old);
      return given.option == old.option || (is_address(given.option) && is_address(old.option));
    });
  });
  file.insert(file.end(), command_line.begin(), command_line.end());
  return file;
}

bool is_runtime_setting(OptionId option) {
  switch (option) {
    case OptionId::ttl:
    case OptionId::setup_ttl:
    case OptionId::independent_ttl:
    case OptionId::overload_protection:
    case OptionId::sessions_max:
    case OptionId::prompt_ttl:
    case OptionId::fork_grace:
    case OptionId::voice:
      return true;
    default:
      return false;
  }
}

Result<Config> build_config(const std::vector<Setting>& settings, const ProcessFacts& process) {
  Draft draft;
  for (const Setting& setting : settings) {
    if (auto status = apply_startup(draft, setting); !status) {
      return tl::unexpected(status.error());
    }
  }
  if (auto status = finish(draft, process); !status) return tl::unexpected(status.error());
  if (auto status = apply_all_runtime(draft, settings, draft.config.startup); !status) {
    return tl::unexpected(status.error());
  }
  return std::move(draft.config);
}

Result<RuntimeConfig> build_runtime(const std::vector<Setting>& settings,
                                    const StartupConfig& running) {
  Draft draft;
  if (auto status = apply_all_runtime(draft, settings, running); !status) {
    return tl::unexpected(status.error());
  }
  return std::move(draft.config.runtime);
}

}  // namespace relay
