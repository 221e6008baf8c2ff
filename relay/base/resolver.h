// Looks host names up in the background. A name server that does not answer holds up neither the
// loop that asks nor the end of it: each name has a thread of its own, and nobody waits for that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace relay {

class Resolver {
 public:
  // More than this many names at once are refused: their threads last as long as getaddrinfo(3).
  static constexpr size_t kUnderWayMax = 64;

  using Addresses = std::vector<SocketAddress>;
  // Blocks. Of stream sockets, with the port filled in; never an empty list.
  using Lookup = std::function<Result<Addresses>(const std::string& host, uint16_t port)>;
  static Result<Addresses> by_getaddrinfo(const std::string& host, uint16_t port);

  // Runs a task on the loop of the one that asks; called from any thread, but never once the
  // resolver has gone.
  using Post = std::function<void(std::function<void()> task)>;

  explicit Resolver(Post post, Lookup look_up = &Resolver::by_getaddrinfo);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  using Done = std::function<void(const Result<Addresses>&)>;
  // The holder's interest; without it the answer is not told.
  using Request = std::shared_ptr<const Done>;
  // `done` is called on the loop, never from inside this call. On the loop's thread.
  [[nodiscard]] Request look_up(const std::string& host, uint16_t port, Done done);

 private:
  struct Shared;
  void answer_soon(const std::weak_ptr<const Done>& request, Result<Addresses> answer);

  const Lookup look_up_;
  const std::shared_ptr<Shared> shared_;  // with the threads
};

}  // namespace relay
