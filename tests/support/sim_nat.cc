#include "tests/support/sim_nat.h"

namespace relay::testing {

SimNat::SimNat(SimNetwork& network, const SimQueue& queue, const IpAddress& outside,
               NatMapping mapping, Duration timeout)
    : network_(network), queue_(queue), outside_(outside), mapping_(mapping), timeout_(timeout) {
  network.attach(outside, [this](const Endpoint& source, const Endpoint& destination,
                                 const Packet& packet) { receive(source, destination, packet); });
}

void SimNat::send(const Endpoint& inside, const Endpoint& destination, const Packet& packet) {
  if (mapping_ == NatMapping::none) {
    network_.send({outside_, inside.port}, destination, packet);
    return;
  }
  const uint16_t port = port_for(inside, destination);
  Mapping& mapping = mappings_[port];
  mapping.inside = inside;
  mapping.used = queue_.now();
  mapping.permitted[destination] = queue_.now();
  network_.send({outside_, port}, destination, packet);
}

void SimNat::rebind() {
  ports_.clear();
  mappings_.clear();
  next_port_ = static_cast<uint16_t>(next_port_ + 101);
}

void SimNat::receive(const Endpoint& source, const Endpoint& destination, const Packet& packet) {
  if (mapping_ == NatMapping::none) {
    deliver(source, destination, packet);
    return;
  }
  const auto mapping = mappings_.find(destination.port);
  if (mapping == mappings_.end()) return;
  const auto permitted = mapping->second.permitted.find(source);
  if (permitted == mapping->second.permitted.end() || !is_live(permitted->second)) return;
  deliver(source, mapping->second.inside, packet);
}

void SimNat::deliver(const Endpoint& source, const Endpoint& inside, const Packet& packet) {
  const auto receiver = inside_.find(inside);
  if (receiver != inside_.end()) receiver->second(source, inside, packet);
}

uint16_t SimNat::port_for(const Endpoint& inside, const Endpoint& destination) {
  const Key key{inside, mapping_ == NatMapping::symmetric ? destination : Endpoint{}};
  const auto known = ports_.find(key);
  if (known != ports_.end()) {
    if (is_live(mappings_[known->second].used)) return known->second;
    mappings_.erase(known->second);
  }
  do {
    next_port_ = next_port_ < 60'000 ? static_cast<uint16_t>(next_port_ + 1) : uint16_t{20'000};
  } while (mappings_.count(next_port_) != 0);
  ports_[key] = next_port_;
  return next_port_;
}

}  // namespace relay::testing
