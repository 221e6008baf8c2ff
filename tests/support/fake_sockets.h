// An imagined host: addresses and ports are what the test says. Descriptors handed out are far
// above any real one, so closing them is harmless.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "relay/session/media_sockets.h"

namespace relay {

class FakeSockets final : public SocketFactory {
 public:
  // Empty: every address is this host's.
  std::set<std::string> addresses;
  std::set<uint16_t> busy_ports;              // taken by somebody else
  std::map<std::string, std::string> routes;  // remote → local
  std::map<int, int> tos;                     // by socket
  std::function<bool()> out_of_descriptors;
  size_t open_calls = 0;

  tl::expected<SocketPair, OpenFailure> open_pair(const Endpoint& rtp, int initial_tos) override {
    ++open_calls;
    if (out_of_descriptors && out_of_descriptors()) {
      return tl::unexpected<OpenFailure>({OpenFailure::Kind::no_descriptors, "too many files"});
    }
    if (!is_known(rtp.address))
      return tl::unexpected<OpenFailure>({OpenFailure::Kind::other, "not our address"});
    if (busy_ports.count(rtp.port) != 0)
      return tl::unexpected<OpenFailure>({OpenFailure::Kind::port_busy, "in use"});
    SocketPair pair{UniqueFd(next_++), UniqueFd(next_++)};
    tos[pair.rtp.get()] = tos[pair.rtcp.get()] = initial_tos;
    return pair;
  }
  bool set_tos(int socket, Family, int value) override {
    tos[socket] = value;
    return true;
  }
  std::optional<IpAddress> address_towards(const IpAddress& remote) override {
    const auto route = routes.find(remote.to_string());
    return route == routes.end() ? std::nullopt : IpAddress::parse(route->second);
  }
  bool is_local(const IpAddress& address) override {
    return address.is_loopback() || addresses.count(address.to_string()) != 0;
  }

 private:
  bool is_known(const IpAddress& address) const {
    return addresses.empty() || address.is_any() || address.is_loopback() ||
           addresses.count(address.to_string()) != 0;
  }
  int next_ = 1 << 24;
};

}  // namespace relay
