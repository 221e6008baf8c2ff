// The relay's host as the tests imagine it: which addresses it has, which ports others hold, and
// sockets that are numbers the kernel never gives out, so that closing them does nothing.
#pragma once

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "relay/session/media_sockets.h"

namespace relay::testing {

class SimHost final : public SocketFactory {
 public:
  explicit SimHost(std::vector<IpAddress> addresses) : addresses_(std::move(addresses)) {}

  tl::expected<SocketPair, OpenFailure> open_pair(const Endpoint& rtp, int) override {
    if (!rtp.address.is_any() && !is_local(rtp.address)) {
      return tl::unexpected(
          OpenFailure{OpenFailure::Kind::other, rtp.to_string() + " is not an address of ours"});
    }
    if (busy_.count(rtp.port) != 0 || busy_.count(static_cast<uint16_t>(rtp.port + 1)) != 0) {
      return tl::unexpected(
          OpenFailure{OpenFailure::Kind::port_busy, rtp.to_string() + " is in use"});
    }
    const int first = next_socket_;
    next_socket_ += 2;
    return SocketPair{UniqueFd(first), UniqueFd(first + 1)};
  }
  bool set_tos(int, Family family, int) override { return family == Family::ipv4; }
  std::optional<IpAddress> address_towards(const IpAddress& remote) override {
    for (const IpAddress& address : addresses_) {
      if (address.family() == remote.family()) return address;
    }
    return std::nullopt;
  }
  bool is_local(const IpAddress& address) override {
    return std::find(addresses_.begin(), addresses_.end(), address) != addresses_.end();
  }

  // Another program holds it.
  void occupy(uint16_t port) { busy_.insert(port); }

 private:
  const std::vector<IpAddress> addresses_;
  std::set<uint16_t> busy_;
  int next_socket_ = 1 << 24;
};

}  // namespace relay::testing
