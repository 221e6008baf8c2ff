#include "relay/control/rpc_transport.h"

#include <event2/buffer.h>
#include <event2/http.h>
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
constexpr int kHeaderBytesMax = 16 * 1024;
constexpr size_t kShownBytesMax = 200;

timeval to_timeval(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return {us / 1'000'000, us % 1'000'000};
}

std::string describe_error(const json& error) {
  if (error.is_object() && error.contains("code") && error.contains("message") &&
      error["code"].is_number_integer() && error["message"].is_string()) {
    return fmt::format("error {} {}", error["code"].get<int64_t>(),
                       error["message"].get<std::string>());
  }
  return "error " + error.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Kamailio gives a refusal the status of its error code, 404 or 500 say, with the error in the
// body: the body decides first.
DeliveryOutcome read_http_reply(int status, const char* reason, std::string_view body) {
  DeliveryOutcome outcome = read_rpc_reply(body);
  if (outcome.kind == Kind::refused) return outcome;
  if (outcome.kind == Kind::delivered && status >= 200 && status < 300) return outcome;
  const bool may_pass = status >= 500 || status == 408 || status == 429;
  return {may_pass ? Kind::in_doubt : Kind::refused,
          fmt::format("HTTP status {} {} without a JSON-RPC reply", status,
                      reason != nullptr ? reason : "")};
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

// --- HTTP ---

HttpRpcTransport::HttpRpcTransport(EventLoop& loop, RpcTarget target,
                                   const TransportTimeouts& timeouts)
    : loop_(loop),
      target_(std::move(target)),
      timeouts_(timeouts),
      report_(loop, [this] { report(); }) {}

HttpRpcTransport::~HttpRpcTransport() {
  close();
}

void HttpRpcTransport::close() {
  if (connection_ != nullptr) evhttp_connection_free(std::exchange(connection_, nullptr));
}

void HttpRpcTransport::send(std::string bytes, Done done) {
  RELAY_ASSERT(done_ == nullptr);
  done_ = std::move(done);
  if (start(bytes)) return;
  outcome_ = {Kind::not_sent, "cannot connect"};
  report_.start_once(Duration::zero());
}

// A connection each: one that Kamailio closed in the meantime (tcp_connection_lifetime) would cost
// the request.
bool HttpRpcTransport::start(const std::string& body) {
  // The address is numeric, so nothing is looked up.
  connection_ = evhttp_connection_base_new(
      loop_.base(), nullptr, target_.endpoint.address.to_string().c_str(), target_.endpoint.port);
  if (connection_ == nullptr) return false;
  const timeval timeout = to_timeval(timeouts_.answer);
  evhttp_connection_set_timeout_tv(connection_, &timeout);
  evhttp_connection_set_max_body_size(connection_, kReplyBytesMax);
  evhttp_connection_set_max_headers_size(connection_, kHeaderBytesMax);
  evhttp_request* request = evhttp_request_new(&HttpRpcTransport::on_reply, this);
  if (request == nullptr) return false;
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Host", target_.host.c_str());
  evhttp_add_header(headers, "Content-Type", "application/json");
  evhttp_add_header(headers, "Connection", "close");
  evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  outcome_ = {Kind::not_sent, "cannot connect"};
  // Takes the request over, also when it fails.
  return evhttp_make_request(connection_, request, EVHTTP_REQ_POST, target_.path.c_str()) == 0;
}

// The connection is still in use by its caller, so what follows waits for the loop's next turn.
void HttpRpcTransport::on_reply(evhttp_request* request, void* transport) {
  auto& self = *static_cast<HttpRpcTransport*>(transport);
  const int status = request != nullptr ? evhttp_request_get_response_code(request) : 0;
  if (request == nullptr) {
    self.outcome_ = {Kind::in_doubt, "closed without a reply, or no reply in time"};
  } else if (status == 0) {
    self.outcome_ = {Kind::not_sent, "cannot connect"};
  } else {
    evbuffer* body = evhttp_request_get_input_buffer(request);
    const size_t length = evbuffer_get_length(body);
    const auto* bytes = reinterpret_cast<const char*>(evbuffer_pullup(body, -1));
    self.outcome_ = read_http_reply(status, evhttp_request_get_response_code_line(request),
                                    {bytes != nullptr ? bytes : "", length});
  }
  self.report_.start_once(Duration::zero());
}

void HttpRpcTransport::report() {
  close();
  std::exchange(done_, nullptr)(std::move(outcome_));
}

// --- datagrams ---

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
