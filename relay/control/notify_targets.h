// Who may be told that a session timed out, which of them a U means, and who else is told of
// what. Plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/config/config.h"
#include "relay/control/command_executor.h"

namespace relay {

// Takes lines over a stream connection: to `endpoint` when that is valid, else to the UNIX socket
// at `path`.
struct LineTarget {
  std::string name;  // of this target and no other
  Endpoint endpoint;
  IpAddress source;  // to connect from; not valid(): any of ours
  std::string path;
};

// Takes JSON-RPC requests: HTTP POST to `endpoint` when that is valid, else datagrams to the UNIX
// socket at `path`.
struct RpcTarget {
  std::string name;
  Endpoint endpoint;
  std::string path;  // of the URL, or of the socket
  std::string host;  // HTTP: what the Host header says
};

// Whom HttpTransport asks.
struct HttpServerAddress {
  std::string host;  // looked up for each connection, unless it is an address
  uint16_t port = 80;
  std::string path;                                          // with the query
  std::vector<std::pair<std::string, std::string>> headers;  // Host among them; may be secrets
};

// Takes lines of JSON, several at once, as {"events":[…]} by HTTP POST.
struct WebhookTarget {
  std::string name;
  HttpServerAddress server;
};

using NotifyTarget = std::variant<LineTarget, RpcTarget, WebhookTarget>;

const std::string& name_of(const NotifyTarget& target);
// Not for NotifyKind::tcp_self.
NotifyTarget to_notify_target(const NotifyTargetConfig& config);

class NotifyTargets {
 public:
  NotifyTargets() = default;
  explicit NotifyTargets(std::vector<NotifyTargetConfig> configured)
      : configured_(std::move(configured)) {}

  bool empty() const { return configured_.empty(); }
  // The name of the target that U's socket argument means, if it is a configured one: what a
  // session remembers.
  std::optional<std::string> resolve(std::string_view socket, const CommandOrigin& origin) const;
  // By a name from resolve().
  std::optional<NotifyTarget> find(std::string_view name) const;

 private:
  std::vector<NotifyTargetConfig> configured_;
};

}  // namespace relay
