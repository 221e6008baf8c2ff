// rtpp-relay(8): options, background, Daemon, exit status.
#include <cstdio>
#include <string>
#include <variant>

#include "relay/base/log.h"
#include "relay/base/process.h"
#include "relay/config/options.h"
#include "relay/control/features.h"
#include "relay/daemon.h"
#include "relay/voice/profile.h"

namespace relay {
namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "rtpp-relay: %s\n", error.message.c_str());
  return 1;
}

int print(const PrintAndExit& wanted) {
  const std::string text =
      wanted.what == PrintAndExit::What::protocol_versions ? feature_list() : wanted.text;
  std::fputs(text.c_str(), stdout);
  const auto profiles = load_voice_profiles(wanted.voice);
  return profiles ? 0 : complain(profiles.error());
}

Result<void> set_limits(const StartupConfig& startup) {
  if (auto limit = set_open_files_limit(startup.nofile_limit); !limit) {
    return tl::unexpected(limit.error());
  }
  if (auto raised = raise_core_limit(); !raised) log_debug("{}", raised.error().message);
  if (startup.nice) {
    if (auto set = set_nice(*startup.nice); !set) return set;
  }
  if (!startup.realtime_policy.empty()) {
    auto set = set_realtime_policy(startup.realtime_policy);
    if (!set) log_warning("{}", set.error().message);
  }
  return {};
}

Result<int> run(const Config& config) {
  const StartupConfig& startup = config.startup;
  BackgroundStart background;
  if (!startup.foreground) {
    auto started =
        go_to_background({startup.keep_working_directory, startup.keep_standard_streams});
    if (!started) return tl::unexpected(started.error());
    background = std::move(*started);
    if (background.exit_status) return *background.exit_status;
  }
  log_start({startup.log_level, startup.foreground || startup.keep_standard_streams,
             startup.syslog_facility});
  for (const std::string& notice : startup.notices) log_warning("{}", notice);
  if (auto set = set_limits(startup); !set) return tl::unexpected(set.error());
  auto pid_file = startup.pid_file.empty() ? PidFile() : PidFile::open(startup.pid_file);
  if (!pid_file) return tl::unexpected(pid_file.error());

  auto daemon = Daemon::start(config, std::move(*pid_file));
  if (!daemon) return tl::unexpected(daemon.error());
  if (auto ready = background.signal.ready(); !ready) return tl::unexpected(ready.error());
  if (auto told = notify_service_manager("READY=1"); !told) {
    log_warning("{}", told.error().message);
  }
  const int status = (*daemon)->run();
  (void)notify_service_manager("STATUS=Exited");
  return status;
}

int relay_main(int argc, char** argv) {
  auto command_line = parse_command_line(argc, argv);
  if (!command_line) return complain(command_line.error());
  if (const auto* wanted = std::get_if<PrintAndExit>(&*command_line)) return print(*wanted);
  ignore_broken_pipes();
  const auto status = run(std::get<Config>(*command_line));
  return status ? *status : complain(status.error());
}

}  // namespace
}  // namespace relay

int main(int argc, char** argv) {
  return relay::relay_main(argc, argv);
}
