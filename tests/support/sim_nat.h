// A NAT as phones have it (RFC 4787): mappings that depend on the inside endpoint alone or also on
// the destination, filtering by the remote endpoint, mappings that time out or are lost.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>

#include "tests/support/sim_network.h"

namespace relay::testing {

enum class NatMapping : uint8_t {
  none,                  // no NAT: inside and outside are the same
  endpoint_independent,  // one outside port an inside endpoint
  symmetric,             // one an inside endpoint and destination
};

class SimNat {
 public:
  // Takes over `outside` on the network.
  SimNat(SimNetwork& network, const SimQueue& queue, const IpAddress& outside, NatMapping mapping,
         Duration timeout);
  SimNat(const SimNat&) = delete;
  SimNat& operator=(const SimNat&) = delete;

  void attach(const Endpoint& inside, SimNetwork::Receiver receiver) {
    inside_[inside] = std::move(receiver);
  }
  void detach(const Endpoint& inside) { inside_.erase(inside); }
  void send(const Endpoint& inside, const Endpoint& destination, const Packet& packet);
  // Restarts: all mappings are gone, and ports start elsewhere.
  void rebind();

  const IpAddress& outside() const { return outside_; }
  NatMapping mapping() const { return mapping_; }

 private:
  struct Mapping {
    Endpoint inside;
    Instant used{};                                   // by a packet from inside
    std::unordered_map<Endpoint, Instant> permitted;  // remote endpoints sent to, and when
  };
  using Key = std::tuple<Endpoint, Endpoint>;  // inside; destination, if symmetric
  struct KeyHash {
    size_t operator()(const Key& key) const noexcept {
      return std::hash<Endpoint>{}(std::get<0>(key)) * 31 + std::hash<Endpoint>{}(std::get<1>(key));
    }
  };

  void receive(const Endpoint& source, const Endpoint& destination, const Packet& packet);
  void deliver(const Endpoint& source, const Endpoint& inside, const Packet& packet);
  uint16_t port_for(const Endpoint& inside, const Endpoint& destination);
  bool is_live(Instant used) const { return queue_.now() - used < timeout_; }

  SimNetwork& network_;
  const SimQueue& queue_;
  const IpAddress outside_;
  const NatMapping mapping_;
  const Duration timeout_;
  std::unordered_map<Endpoint, SimNetwork::Receiver> inside_;
  std::unordered_map<Key, uint16_t, KeyHash> ports_;
  std::map<uint16_t, Mapping> mappings_;  // by outside port
  uint16_t next_port_ = 20'000;
};

}  // namespace relay::testing
