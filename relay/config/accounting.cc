#include "relay/config/accounting.h"

#include <fmt/core.h>

#include <filesystem>

#include "relay/config/control_socket.h"

namespace relay {
namespace {

// rtpproxy's, in the directory it is started from.
constexpr std::string_view kModuleCsvFile = "rtpproxy_acct.csv";

std::string absolute(const std::string& path) {
  std::error_code ignored;
  const auto result = std::filesystem::absolute(path, ignored);
  return ignored ? path : result.string();
}

Status add_module(StartupConfig& startup, const Setting& setting) {
  const auto id = module_named(setting.value);
  if (!id) {
    return refuse(setting, "unknown module: expected acct_csv, catch_dtmf, dtls_gw or ice_lite");
  }
  switch (*id) {
    case ModuleId::acct_rtcp_hep:
      return refuse(setting,
                    "this module needs a configuration and cannot be loaded with --dso: use --hep");
    case ModuleId::acct_csv:
      if (startup.acct_csv_file.empty()) startup.acct_csv_file = kModuleCsvFile;
      break;
    case ModuleId::catch_dtmf:
      break;
    case ModuleId::dtls_gw:
    case ModuleId::ice_lite:
      startup.notices.push_back(
          fmt::format("{}: {}: not part of this version: its sub-commands answer E3",
                      setting.source, relay::quoted(setting.value)));
      return {};
  }
  startup.modules.add(*id);
  return {};
}

}  // namespace

Status finish_accounting(StartupConfig& startup, const std::vector<Setting>& modules,
                         const std::vector<Setting>& collectors) {
  for (const Setting& setting : modules) {
    if (auto status = add_module(startup, setting); !status) return status;
  }
  for (const Setting& setting : collectors) {
    auto collector = parse_hep_collector(setting, startup.numeric_only);
    if (!collector) return tl::unexpected(collector.error());
    startup.hep_collectors.push_back(std::move(*collector));
    startup.modules.add(ModuleId::acct_rtcp_hep);
  }
  // Without a notification socket there is nowhere to tell digits to.
  if (!startup.notify_targets.empty() && startup.modules.count(ModuleId::catch_dtmf) == 0) {
    startup.modules.add(ModuleId::catch_dtmf);
  }
  for (std::string* path : {&startup.acct_csv_file, &startup.acct_json_file}) {
    if (!path->empty()) *path = absolute(*path);
  }
  return {};
}

}  // namespace relay
