// Proxies and the relay's datagram control socket over a network that loses and repeats: requests
// are sent again with the same cookie, and answered through the real reply cache.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "relay/control/reply_cache.h"
#include "tests/support/sim_network.h"
#include "tests/support/sim_relay.h"

namespace relay::testing {

class ControlLink {
 public:
  using OnReply = std::function<void(const std::string& reply)>;
  // Told of every request executed, with its reply.
  using Observer = std::function<void(const std::string& command, const std::string& reply)>;

  // Two proxies whose cookies are the same, as two containers' are.
  static constexpr size_t kProxies = 2;

  ControlLink(SimRelay& relay, SimQueue& queue, SimRandom& random, Observer observer);
  // As Kamailio sends: up to five times, a second apart. Without any reply nothing is called.
  void send(size_t proxy, const std::string& command, OnReply on_reply);

  uint64_t executed() const { return executed_; }
  uint64_t retransmissions_answered() const { return repeated_; }
  size_t cached(Instant now) {
    cache_.expire(now);
    return cache_.entries();
  }
  // A cookie that was answered in two ways; empty when none was.
  const std::string& contradiction() const { return contradiction_; }

 private:
  struct Request {
    std::string command;
    OnReply on_reply;
    std::string reply;  // the first
    int tries = 0;
  };

  void transmit(size_t proxy, const std::string& cookie);
  void on_request(const Endpoint& peer, const Packet& packet);
  void on_response(size_t proxy, const Packet& packet);

  SimRelay& relay_;
  SimQueue& queue_;
  SimNetwork network_;
  ReplyCache cache_{ReplyCacheLimits{}};
  const Observer observer_;
  std::array<std::map<std::string, Request>, kProxies> requests_;  // by cookie
  std::array<uint64_t, kProxies> sequence_{};
  uint64_t executed_ = 0, repeated_ = 0;
  std::string contradiction_;
};

}  // namespace relay::testing
