// Hosts that belong to no call: one walks over all ports with one stream, as rtpbleed does, one
// guesses at random, one plays back what it recorded of calls. None may get or inject anything.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include "tests/support/sim_network.h"

namespace relay::testing {

class Strangers {
 public:
  Strangers(SimNetwork& network, SimQueue& queue, SimRandom& random, uint16_t port_min,
            uint16_t port_max);
  // Until `end`. `on_leak` is told of any packet that reaches a stranger.
  void start(Instant end, std::function<void(const Endpoint& source)> on_leak);
  // A packet on its way into the relay that the recorder saw.
  void record(const Endpoint& destination, const Packet& packet);
  static bool is_stranger(const Endpoint& source);

  uint64_t packets() const { return packets_; }
  uint64_t replays() const { return replays_; }

 private:
  struct Recording {
    Instant replayed{};
    std::deque<Packet> packets;
  };
  void walk();
  void guess();
  void replay();
  void send(const Endpoint& source, uint16_t port, const Packet& packet);

  SimNetwork& network_;
  SimQueue& queue_;
  SimRandom& random_;
  const uint16_t port_min_, port_max_;
  Instant end_{};
  uint16_t next_port_;
  uint16_t sequence_ = 0;
  uint64_t packets_ = 0, replays_ = 0;
  std::unordered_map<uint16_t, Recording> recordings_;  // by relay port
  std::vector<uint16_t> recorded_ports_;
};

}  // namespace relay::testing
