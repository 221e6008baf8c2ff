// A datagram control socket: `COOKIE SP COMMAND` in, `COOKIE SP REPLY` out, once per request.
// Control thread only.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/event_loop.h"
#include "relay/control/reply_cache.h"

namespace relay {

class UdpListener {
 public:
  struct Settings {
    std::string text;    // as configured, for the log
    UniqueFd socket;     // as make_udp_socket() leaves it
    uint32_t index = 0;  // tells the sockets apart that share a reply cache
  };

  UdpListener(EventLoop& loop, Settings settings, CommandExecutor& executor, ReplyCache& cache,
              ControlCounters& counters, const Clock& clock);

  const std::string& text() const { return settings_.text; }
  int descriptor() const { return settings_.socket.get(); }

 private:
  // Kamailio and OpenSIPS connect their sockets: a reply that leaves from another address than
  // the one asked is never seen.
  struct Datagram {
    SocketAddress peer;
    Endpoint local;
    unsigned reply_interface = 0;  // 0: routing decides
    std::string_view text;
  };

  void on_readable();
  bool receive_one();
  void read_ancillary(msghdr& message, Datagram& datagram);
  void answer(const Datagram& datagram);
  void send_reply(const Datagram& datagram, std::string_view reply);

  Settings settings_;
  CommandExecutor& executor_;
  ReplyCache& cache_;
  ControlCounters& counters_;
  const Clock& clock_;
  Endpoint bound_;
  uint32_t lost_in_kernel_ = 0;  // the kernel's running count
  std::array<char, 8192> buffer_;
  FdEvent readable_;
};

}  // namespace relay
