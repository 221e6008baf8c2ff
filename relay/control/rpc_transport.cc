#include "relay/control/rpc_transport.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "relay/base/assert.h"

namespace relay {
namespace {

using Kind = DeliveryOutcome::Kind;
using nlohmann::json;

constexpr int kReplyBytesMax = 64 * 1024;
constexpr size_t kShownBytesMax = 200;

std::string describe_error(const json& error) {
  if (error.is_object() && error.contains("code") && error.contains("message") &&
      error["code"].is_number_integer() && error["message"].is_string()) {
    return fmt::format("error {} {}", error["code"].get<int64_t>(),
                       error["message"].get<std::string>());
  }
  return "error " + error.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string rpc_request(std::string_view method, const std::vector<std::string>& parameters,
                        uint64_t id) {
  const json request = {{"jsonrpc", "2.0"}, {"method", method}, {"params", parameters}, {"id", id}};
  // Tags are any bytes; JSON is UTF-8.
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

DeliveryOutcome read_rpc_reply(std::string_view body) {
  const json reply = json::parse(body, nullptr, false);
  if (reply.is_object() && reply.contains("error") && !reply["error"].is_null()) {
    return {Kind::refused, describe_error(reply["error"])};
  }
  if (reply.is_object() && reply.contains("result")) return {};
  return {Kind::in_doubt, "no JSON-RPC reply: " + std::string(body.substr(0, kShownBytesMax))};
}

// Kamailio gives a refusal the status of its error code, 404 or 500 say, with the error in the
// body: the body decides first.
DeliveryOutcome read_http_rpc_reply(int status, std::string_view reason, std::string_view body) {
  DeliveryOutcome outcome = read_rpc_reply(body);
  if (outcome.kind == Kind::refused) return outcome;
  if (outcome.kind == Kind::delivered && status >= 200 && status < 300) return outcome;
  const bool may_pass = status >= 500 || status == 408 || status == 429;
  return {may_pass ? Kind::in_doubt : Kind::refused,
          fmt::format("HTTP status {} {} without a JSON-RPC reply", status, reason)};
}

HttpManner http_rpc_manner() {
  return {0, [](std::string bytes) { return bytes; }, &read_http_rpc_reply};
}

DatagramRpcTransport::DatagramRpcTransport(EventLoop& loop, RpcTarget target,
                                           const TransportTimeouts& timeouts)
    : loop_(loop),
      target_(std::move(target)),
      timeouts_(timeouts),
      timer_(loop,
             [this] {
               finish({Kind::in_doubt, "no reply in time"});
             }),
      report_(loop, [this] { std::exchange(done_, nullptr)(std::move(outcome_)); }) {}

void DatagramRpcTransport::send(std::string bytes, Done done) {
  RELAY_ASSERT(done_ == nullptr);
  done_ = std::move(done);
  if (!start(bytes)) finish({Kind::not_sent, std::string("cannot send: ") + std::strerror(errno)});
}

bool DatagramRpcTransport::start(const std::string& request) {
  fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // Without a name of our own nobody can answer; bound to none, the kernel gives one (unix(7)). A
  // new one each time, so that no late reply is taken for another's.
  if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) != 0) {
    return false;
  }
  target_.path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return false;
  }
  if (::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
  readable_ =
      std::make_unique<FdEvent>(loop_, fd_.get(), FdReady::readable, [this] { on_readable(); });
  timer_.start_once(timeouts_.answer);
  return readable_->start();
}

void DatagramRpcTransport::on_readable() {
  std::string reply(kReplyBytesMax, '\0');
  const ssize_t got = ::recv(fd_.get(), reply.data(), reply.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) {
    return finish({Kind::in_doubt, std::string("cannot read the reply: ") + std::strerror(errno)});
  }
  finish(read_rpc_reply(std::string_view(reply).substr(0, static_cast<size_t>(got))));
}

void DatagramRpcTransport::finish(DeliveryOutcome outcome) {
  timer_.stop();
  readable_.reset();
  fd_.reset();
  outcome_ = std::move(outcome);
  report_.start_once(Duration::zero());
}

}  // namespace relay
