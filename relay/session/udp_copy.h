// Sends copies of what one leg's party sends to somebody else, from a pair of ports of its own:
// RTP to a port, RTCP to the one above. Made and destroyed by the control thread.
#pragma once

#include <array>
#include <optional>

#include "relay/base/published.h"
#include "relay/flow/tap.h"
#include "relay/session/port_pool.h"

namespace relay {

class UdpCopy final : public Tap {
 public:
  // Requires: with_rtcp only where `to` has a port above it.
  UdpCopy(PortPair ports, const Endpoint& to, bool with_rtcp);

  TapAnswer offer(const TappedPacket& packet) override;
  bool wants(PacketKind kind) const override;
  const char* name() const override { return "copy"; }

  const Endpoint& local() const { return ports_.local(); }
  const Endpoint& to() const { return to_; }
  // Any thread.
  uint64_t sent() const { return sent_.get(); }
  uint64_t failed() const { return failed_.get(); }

 private:
  const PortPair ports_;
  const Endpoint to_;
  const bool with_rtcp_;
  std::array<SocketAddress, 2> addresses_;  // by Component
  Counter sent_, failed_;
};

}  // namespace relay
