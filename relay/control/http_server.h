// What monitoring and web tools ask: metrics, health, and the J documents over HTTP/1.1. Control
// thread; answers from memory, so a request costs what a command costs. There is no
// authentication: bind it where only the operator is.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/control/command_executor.h"
#include "relay/control/event_loop.h"

struct evhttp;
struct evhttp_request;

namespace relay {

class HttpServer {
 public:
  // The body of a POST may be so long.
  static constexpr size_t kBodyBytesMax = 64 * 1024;

  struct Sources {
    CommandExecutor& commands;              // outlives the server
    std::function<std::string()> metrics;   // Prometheus text
    std::function<bool()> is_taking_calls;  // false while draining
  };
  static Result<std::unique_ptr<HttpServer>> create(EventLoop& loop, const Endpoint& local,
                                                    Sources sources);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The port it listens on, where 0 was asked for.
  uint16_t port() const { return port_; }

 private:
  explicit HttpServer(Sources sources) : sources_(std::move(sources)) {}

  void on_request(evhttp_request* request) const;
  void on_post(evhttp_request* request, std::string_view path) const;
  void answer_with_command(evhttp_request* request, const std::string& command) const;

  const Sources sources_;
  evhttp* http_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace relay
