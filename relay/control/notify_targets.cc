#include "relay/control/notify_targets.h"

#include <algorithm>
#include <charconv>

namespace relay {
namespace {

constexpr std::string_view kTcp = "tcp:";
constexpr std::string_view kUnix = "unix:";
// Between peer and source in the name of a target that a command's origin decided.
constexpr std::string_view kFrom = " from ";

std::string_view without(std::string_view prefix, std::string_view text) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

// UNIX sockets go with or without `unix:`. OpenSIPS leaves `tcp:` out when an earlier relay denied
// it the feature 20150617.
bool means(const NotifyTargetConfig& target, std::string_view socket) {
  if (socket == target.text) return true;
  if (target.kind == NotifyKind::unix_stream) {
    return without(kUnix, socket) == without(kUnix, target.text);
  }
  const bool is_tcp = target.kind == NotifyKind::tcp || target.kind == NotifyKind::tcp_self;
  return is_tcp && socket == without(kTcp, target.text);
}

// The listener is on the host that commands come from; for UNIX sockets and standard input that is
// this one. From our address that the proxy talks to, since OpenSIPS takes notifications only from
// the relays it knows.
std::string name_of_sender(const CommandOrigin& origin, uint16_t port) {
  const IpAddress loopback = IpAddress::from_ipv4(in_addr{htonl(INADDR_LOOPBACK)});
  const Endpoint peer{origin.peer ? origin.peer->address : loopback, port};
  std::string name = std::string(kTcp) + peer.to_string();
  if (origin.peer && origin.local && origin.local->valid() && !origin.local->address.is_any()) {
    name.append(kFrom).append(origin.local->address.to_string());
  }
  return name;
}

// What name_of_sender() wrote.
std::optional<LineTarget> read_name_of_sender(std::string_view name) {
  LineTarget target;
  target.name = name;
  std::string_view peer = without(kTcp, name);
  if (const size_t from = peer.find(kFrom); from != std::string_view::npos) {
    const auto source = IpAddress::parse(peer.substr(from + kFrom.size()));
    if (!source) return std::nullopt;
    target.source = *source;
    peer = peer.substr(0, from);
  }
  const size_t colon = peer.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = peer.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  uint16_t port = 0;
  const auto [rest, error] = std::from_chars(peer.data() + colon + 1, peer.end(), port);
  if (!address || error != std::errc{} || rest != peer.end()) return std::nullopt;
  target.endpoint = {*address, port};
  return target;
}

}  // namespace

const std::string& name_of(const NotifyTarget& target) {
  return std::visit([](const auto& each) -> const std::string& { return each.name; }, target);
}

NotifyTarget to_notify_target(const NotifyTargetConfig& config) {
  if (config.kind == NotifyKind::rpc_http || config.kind == NotifyKind::rpc_unix) {
    return RpcTarget{config.text, config.endpoint, config.path, config.host};
  }
  return LineTarget{config.text, config.endpoint, {}, config.path};
}

std::optional<std::string> NotifyTargets::resolve(std::string_view socket,
                                                  const CommandOrigin& origin) const {
  const auto found = std::find_if(configured_.begin(), configured_.end(),
                                  [&](const auto& target) { return means(target, socket); });
  if (found == configured_.end()) return std::nullopt;
  if (found->kind == NotifyKind::tcp_self) return name_of_sender(origin, found->endpoint.port);
  return found->text;
}

std::optional<NotifyTarget> NotifyTargets::find(std::string_view name) const {
  for (const NotifyTargetConfig& target : configured_) {
    if (target.kind != NotifyKind::tcp_self && target.text == name) return to_notify_target(target);
  }
  if (auto sender = read_name_of_sender(name)) return *sender;
  return std::nullopt;
}

}  // namespace relay
