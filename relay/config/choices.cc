#include "relay/config/choices.h"

#include <net/if.h>

namespace relay {

Status set_realtime(StartupConfig& startup, const Setting& setting) {
  if (setting.value != "fifo" && setting.value != "rr") {
    return refuse(setting, "expected fifo or rr");
  }
  startup.realtime_policy = setting.value;
  return {};
}

Status set_latch(StartupConfig& startup, const Setting& setting) {
  if (setting.value != "strict" && setting.value != "compat") {
    return refuse(setting, "expected strict or compat");
  }
  startup.latch_policy =
      setting.value == "strict" ? LatchPolicyDefault::strict : LatchPolicyDefault::compat;
  return {};
}

Status set_fastpath(StartupConfig& startup, const Setting& setting) {
  if (setting.value == "auto") {
    startup.fastpath = FastpathChoice::automatic;
  } else if (setting.value == "require") {
    startup.fastpath = FastpathChoice::require;
  } else if (setting.value == "off") {
    startup.fastpath = FastpathChoice::off;
  } else {
    return refuse(setting, "expected auto, require or off");
  }
  return {};
}

Status set_record_format(StartupConfig& startup, const Setting& setting) {
  if (setting.value == "adhoc") {
    startup.record_format = RecordFormatChoice::adhoc;
  } else if (setting.value == "pcap") {
    startup.record_format = RecordFormatChoice::pcap;
  } else if (setting.value == "wav") {
    startup.record_format = RecordFormatChoice::wav;
  } else {
    return refuse(setting, "expected adhoc, pcap or wav");
  }
  return {};
}

// 127.0.0.1:8080 or [::1]:8080; there is no authentication, so no default address either.
Status set_http(StartupConfig& startup, const Setting& setting) {
  constexpr const char* kExpected = "expected ADDRESS:PORT with a numeric address, as [::1]:8080";
  const size_t colon = setting.value.rfind(':');
  std::string host = setting.value.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const auto address = IpAddress::parse(host);
  if (!address || colon == std::string::npos) return refuse(setting, kExpected);
  const Setting number{setting.option, setting.value.substr(colon + 1), setting.source};
  const auto port = parse_integer(number, 1, 65535);
  if (!port) return refuse(setting, kExpected);
  startup.http = Endpoint{*address, static_cast<uint16_t>(*port)};
  return {};
}

Status set_fastpath_interface(StartupConfig& startup, const Setting& setting) {
  if (setting.value.empty() || setting.value.size() >= IFNAMSIZ) {
    return refuse(setting, "expected the name of a network interface");
  }
  startup.fastpath_interfaces.push_back(setting.value);
  return {};
}

// Relative ones would mean another directory once the relay is in the background.
Status add_prompt_directory(StartupConfig& startup, const Setting& setting) {
  if (!setting.value.starts_with('/')) return refuse(setting, "expected an absolute path");
  startup.prompt_directories.push_back(setting.value);
  return {};
}

}  // namespace relay
