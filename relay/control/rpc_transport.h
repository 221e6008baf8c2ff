// JSON-RPC 2.0 requests, as Kamailio's module jsonrpcs answers them: over HTTP
// (http_transport.h), or as datagrams to its UNIX socket.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/unique_fd.h"
#include "relay/control/http_transport.h"
#include "relay/control/notify_transport.h"

namespace relay {

std::string rpc_request(std::string_view method, const std::vector<std::string>& parameters,
                        uint64_t id);
// What a reply says: a result, an error, or something else (in doubt).
DeliveryOutcome read_rpc_reply(std::string_view body);
HttpManner http_rpc_manner();

class DatagramRpcTransport final : public NotifyTransport {
 public:
  DatagramRpcTransport(EventLoop& loop, RpcTarget target, const TransportTimeouts& timeouts);

  void send(std::string bytes, Done done) override;
  size_t batch_bytes() const override { return 0; }

 private:
  bool start(const std::string& request);
  void on_readable();
  void finish(DeliveryOutcome outcome);

  EventLoop& loop_;
  const RpcTarget target_;
  const TransportTimeouts timeouts_;
  UniqueFd fd_;
  std::unique_ptr<FdEvent> readable_;
  DeliveryOutcome outcome_;
  Done done_;
  Timer timer_, report_;
};

}  // namespace relay
