#include "relay/control/http_transport.h"

#include <event2/buffer.h>
#include <event2/http.h>

#include "relay/base/assert.h"

namespace relay {
namespace {

using Kind = DeliveryOutcome::Kind;

constexpr int kReplyBytesMax = 64 * 1024;
constexpr int kHeaderBytesMax = 16 * 1024;

timeval to_timeval(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return {us / 1'000'000, us % 1'000'000};
}

}  // namespace

HttpTransport::HttpTransport(EventLoop& loop, HttpServerAddress server, const HttpManner& manner,
                             const TransportTimeouts& timeouts)
    : loop_(loop),
      server_(std::move(server)),
      manner_(manner),
      timeouts_(timeouts),
      resolver_([&loop](std::function<void()> task) { loop.post(std::move(task)); }),
      lookup_limit_(loop,
                    [this] {
                      finish({Kind::not_sent, "the name was not looked up in time"});
                    }),
      report_(loop, [this] { report(); }) {}

HttpTransport::~HttpTransport() {
  close();
}

void HttpTransport::close() {
  if (connection_ != nullptr) evhttp_connection_free(std::exchange(connection_, nullptr));
}

void HttpTransport::send(std::string bytes, Done done) {
  RELAY_ASSERT(done_ == nullptr);
  done_ = std::move(done);
  body_ = manner_.body(std::move(bytes));
  lookup_ = resolver_.look_up(server_.host, server_.port,
                              [this](const auto& found) { on_addresses(found); });
  lookup_limit_.start_once(timeouts_.answer);
}

// Each try has the next one of the name's addresses.
void HttpTransport::on_addresses(const Result<Resolver::Addresses>& found) {
  lookup_limit_.stop();
  if (!found) return finish({Kind::not_sent, "no such host: " + found.error().message});
  if (!ask(to_endpoint((*found)[failures_ % found->size()]))) {
    finish({Kind::not_sent, "cannot connect"});
  }
}

// A connection each: one that the server closed in the meantime (Kamailio's
// tcp_connection_lifetime) would cost the request.
bool HttpTransport::ask(const Endpoint& server) {
  connection_ = evhttp_connection_base_new(loop_.base(), nullptr,
                                           server.address.to_string().c_str(), server.port);
  if (connection_ == nullptr) return false;
  const timeval timeout = to_timeval(timeouts_.answer);
  evhttp_connection_set_timeout_tv(connection_, &timeout);
  evhttp_connection_set_max_body_size(connection_, kReplyBytesMax);
  evhttp_connection_set_max_headers_size(connection_, kHeaderBytesMax);
  evhttp_request* request = evhttp_request_new(&HttpTransport::on_reply, this);
  if (request == nullptr) return false;
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", "application/json");
  evhttp_add_header(headers, "Connection", "close");
  for (const auto& [name, value] : server_.headers) {
    evhttp_add_header(headers, name.c_str(), value.c_str());
  }
  evbuffer_add(evhttp_request_get_output_buffer(request), body_.data(), body_.size());
  // Takes the request over, also when it fails.
  return evhttp_make_request(connection_, request, EVHTTP_REQ_POST, server_.path.c_str()) == 0;
}

// The connection is still in use by its caller, so what follows waits for the loop's next turn.
void HttpTransport::on_reply(evhttp_request* request, void* transport) {
  auto& self = *static_cast<HttpTransport*>(transport);
  const int status = request != nullptr ? evhttp_request_get_response_code(request) : 0;
  if (request == nullptr) {
    return self.finish({Kind::in_doubt, "closed without a reply, or no reply in time"});
  }
  if (status == 0) return self.finish({Kind::not_sent, "cannot connect"});
  evbuffer* body = evhttp_request_get_input_buffer(request);
  const size_t length = evbuffer_get_length(body);
  const auto* bytes = reinterpret_cast<const char*>(evbuffer_pullup(body, -1));
  const char* const reason = evhttp_request_get_response_code_line(request);
  self.finish(self.manner_.read(status, reason != nullptr ? reason : "",
                                {bytes != nullptr ? bytes : "", length}));
}

void HttpTransport::finish(DeliveryOutcome outcome) {
  lookup_.reset();
  const bool failed = outcome.kind == Kind::not_sent || outcome.kind == Kind::in_doubt;
  failures_ = failed ? failures_ + 1 : 0;
  outcome_ = std::move(outcome);
  report_.start_once(Duration::zero());
}

void HttpTransport::report() {
  close();
  std::exchange(done_, nullptr)(std::move(outcome_));
}

}  // namespace relay
