// Requests by HTTP/1.1: a POST of JSON, a connection each.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/resolver.h"
#include "relay/control/notify_transport.h"

struct evhttp_connection;
struct evhttp_request;

namespace relay {

// What is particular to those on the other side.
struct HttpManner {
  size_t batch_bytes = 0;                  // as NotifyTransport::batch_bytes()
  std::string (*body)(std::string bytes);  // of what send() is given
  DeliveryOutcome (*read)(int status, std::string_view reason, std::string_view body);
};

class HttpTransport final : public NotifyTransport {
 public:
  HttpTransport(EventLoop& loop, HttpServerAddress server, const HttpManner& manner,
                const TransportTimeouts& timeouts);
  ~HttpTransport() override;

  void send(std::string bytes, Done done) override;
  size_t batch_bytes() const override { return manner_.batch_bytes; }

 private:
  void on_addresses(const Result<Resolver::Addresses>& found);
  bool ask(const Endpoint& server);
  static void on_reply(evhttp_request* request, void* transport);
  void finish(DeliveryOutcome outcome);
  void report();
  void close();

  EventLoop& loop_;
  const HttpServerAddress server_;
  const HttpManner manner_;
  const TransportTimeouts timeouts_;
  std::string body_;
  size_t failures_ = 0;  // in a row
  evhttp_connection* connection_ = nullptr;
  DeliveryOutcome outcome_;
  Done done_;
  Resolver resolver_;
  Resolver::Request lookup_;
  Timer lookup_limit_, report_;
};

}  // namespace relay
