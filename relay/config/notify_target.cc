#include "relay/config/notify_target.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "relay/base/log.h"
#include "relay/config/control_socket.h"

namespace relay {
namespace {

constexpr size_t kTargetsMax = 64;
constexpr size_t kSelfTargetsMax = 2;
constexpr uint16_t kHttpPort = 80;

constexpr std::string_view kExpected =
    "expected unix:PATH, tcp:HOST:PORT, tcp6:HOST:PORT, tcp:%%CC_SELF%%:PORT, "
    "jsonrpc:http://HOST:PORT/PATH or jsonrpc:unix:PATH";

// The daemon leaves its working directory.
Result<std::string> parse_absolute_path(const Setting& setting, std::string_view path) {
  if (auto checked = parse_path(setting, path); !checked || path.front() == '/') return checked;
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return parse_path(setting, error ? std::string(path) : absolute.string());
}

Result<Endpoint> parse_peer(const Setting& setting, std::string_view text, Family family,
                            std::optional<uint16_t> port_default, bool numeric_only) {
  std::string_view host = split_host_port(text).host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto numeric = IpAddress::parse(host);
  if (numeric && numeric->is_ipv6()) family = Family::ipv6;
  auto endpoint = parse_host_port(setting, text, family, port_default, numeric_only);
  if (!endpoint) return endpoint;
  const IpAddress& address = endpoint->address;
  if (address.is_any() || address.is_multicast() || address.is_broadcast()) {
    return refuse(setting, fmt::format("{} is not the address of one host", address.to_string()));
  }
  return endpoint;
}

Result<NotifyTargetConfig> parse_tcp(const Setting& setting, std::string_view rest, Family family,
                                     bool numeric_only) {
  NotifyTargetConfig target{NotifyKind::tcp, setting.value, {}, {}, {}};
  if (family == Family::ipv4 && rest.starts_with(kNotifySelfHost)) {
    const std::string_view port = rest.substr(kNotifySelfHost.size());
    if (!port.starts_with(":")) return refuse(setting, "expected tcp:%%CC_SELF%%:PORT");
    const auto value = parse_port(setting, port.substr(1));
    if (!value) return tl::unexpected(value.error());
    target.kind = NotifyKind::tcp_self;
    target.endpoint.port = *value;
    return target;
  }
  const auto endpoint = parse_peer(setting, rest, family, std::nullopt, numeric_only);
  if (!endpoint) return tl::unexpected(endpoint.error());
  target.endpoint = *endpoint;
  return target;
}

Result<NotifyTargetConfig> parse_unix(const Setting& setting, NotifyKind kind,
                                      std::string_view path) {
  auto checked = parse_absolute_path(setting, path);
  if (!checked) return tl::unexpected(checked.error());
  return NotifyTargetConfig{kind, setting.value, {}, std::move(*checked), {}};
}

bool is_url_character(char c) {
  return c > ' ' && c < 0x7f;
}

Result<NotifyTargetConfig> parse_http(const Setting& setting, std::string_view rest,
                                      bool numeric_only) {
  if (!std::all_of(rest.begin(), rest.end(), is_url_character)) {
    return refuse(setting, "a URL has visible ASCII characters only, others as %XX");
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) {
    return refuse(setting, "user names in the URL are not supported");
  }
  const auto endpoint = parse_peer(setting, authority, Family::ipv4, kHttpPort, numeric_only);
  if (!endpoint) return tl::unexpected(endpoint.error());
  return NotifyTargetConfig{NotifyKind::rpc_http, setting.value, *endpoint,
                            slash == rest.size() ? "/" : std::string(rest.substr(slash)),
                            std::string(authority)};
}

Result<NotifyTargetConfig> parse_rpc(const Setting& setting, std::string_view rest,
                                     bool numeric_only) {
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kUnix = "unix:";
  if (rest.starts_with(kHttp)) return parse_http(setting, rest.substr(kHttp.size()), numeric_only);
  if (rest.starts_with(kUnix)) {
    return parse_unix(setting, NotifyKind::rpc_unix, rest.substr(kUnix.size()));
  }
  if (rest.starts_with("https:")) return refuse(setting, "https is not supported, http is");
  return refuse(setting, "expected jsonrpc:http://HOST:PORT/PATH or jsonrpc:unix:PATH");
}

}  // namespace

Result<NotifyTargetConfig> parse_notify_target(const Setting& setting, bool numeric_only) {
  const std::string_view text = setting.value;
  if (text.empty()) return refuse(setting, kExpected);
  const std::string_view scheme = scheme_of(text);
  if (scheme.data() == nullptr) return parse_unix(setting, NotifyKind::unix_stream, text);
  const std::string_view rest = text.substr(scheme.size() + 1);
  if (scheme == "unix") return parse_unix(setting, NotifyKind::unix_stream, rest);
  if (scheme == "tcp") return parse_tcp(setting, rest, Family::ipv4, numeric_only);
  if (scheme == "tcp6") return parse_tcp(setting, rest, Family::ipv6, numeric_only);
  if (scheme == "jsonrpc") return parse_rpc(setting, rest, numeric_only);
  return refuse(setting, kExpected);
}

Status set_notify_targets(StartupConfig& startup, const std::vector<Setting>& targets,
                          const std::optional<Setting>& all) {
  size_t of_self = 0;
  size_t plain = 0;
  for (const Setting& setting : targets) {
    auto target = parse_notify_target(setting, startup.numeric_only);
    if (!target) return tl::unexpected(target.error());
    const bool is_self = target->kind == NotifyKind::tcp_self;
    if (is_self ? ++of_self > kSelfTargetsMax : ++plain > kTargetsMax) {
      return refuse(setting, fmt::format("at most {} notification sockets and {} of %%CC_SELF%% "
                                         "may be given",
                                         kTargetsMax, kSelfTargetsMax));
    }
    startup.notify_targets.push_back(std::move(*target));
  }
  if (!all) return {};
  auto target = parse_notify_target(*all, startup.numeric_only);
  if (!target) return tl::unexpected(target.error());
  if (target->kind == NotifyKind::tcp_self) {
    return refuse(*all, "%%CC_SELF%% stands for the sender of a command; name the host here");
  }
  startup.notify_all = std::move(*target);
  return {};
}

}  // namespace relay
