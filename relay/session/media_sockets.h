// Opening the UDP sockets media runs on. SocketFactory is a seam: production asks the kernel,
// tests an imagined host. Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"

namespace relay {

struct SocketPair {
  UniqueFd rtp, rtcp;
};

struct OpenFailure {
  enum class Kind : uint8_t {
    port_busy,       // in use or reserved: another port may do
    no_descriptors,  // closing something helps
    other,           // no port on this address will do
  };
  Kind kind = Kind::other;
  std::string message;
};

class SocketFactory {
 public:
  virtual ~SocketFactory() = default;
  // Non-blocking sockets bound to `rtp` and to the port above it. `tos` < 0 leaves it alone.
  virtual tl::expected<SocketPair, OpenFailure> open_pair(const Endpoint& rtp, int tos) = 0;
  // IP_TOS or IPV6_TCLASS of an open socket; false when the kernel refuses the value.
  virtual bool set_tos(int socket, Family family, int tos) = 0;
  // The address the kernel would send from towards `remote`; nothing when there is no route.
  virtual std::optional<IpAddress> address_towards(const IpAddress& remote) = 0;
  // One of this host's own addresses.
  virtual bool is_local(const IpAddress& address) = 0;
};

class KernelSocketFactory final : public SocketFactory {
 public:
  tl::expected<SocketPair, OpenFailure> open_pair(const Endpoint& rtp, int tos) override;
  bool set_tos(int socket, Family family, int tos) override;
  std::optional<IpAddress> address_towards(const IpAddress& remote) override;
  bool is_local(const IpAddress& address) override;

 private:
  tl::expected<UniqueFd, OpenFailure> open_one(const Endpoint& local, int tos);
};

}  // namespace relay
