// A datagram control socket: `COOKIE SP COMMAND` in, `COOKIE SP REPLY` out, once per request.
// Control thread only.
#pragma once

#include <span>
#include <string>

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/datagram_burst.h"
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
  void on_readable();
  void answer(std::span<const ControlDatagram> burst);
  void answer(const ControlDatagram& datagram, Instant now);
  void send_replies();

  Settings settings_;
  CommandExecutor& executor_;
  ReplyCache& cache_;
  ControlCounters& counters_;
  const Clock& clock_;
  const Endpoint bound_;
  DatagramReader reader_;
  ReplySender replies_;
  std::string framed_;  // the reply at hand
  FdEvent readable_;
};

}  // namespace relay
