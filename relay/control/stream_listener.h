// A listening unix or TCP control socket and the connections it accepted. Control thread only.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"
#include "relay/control/command_stream.h"
#include "relay/control/control_socket.h"

namespace relay {

class StreamListener {
 public:
  struct Settings {
    std::string text;  // as configured, for the log
    UniqueFd socket;   // listening, non-blocking
    UnixSocketFile file;
    StreamFraming framing = StreamFraming::lines;
    StreamLimits limits;
  };

  StreamListener(EventLoop& loop, Settings settings, CommandExecutor& executor,
                 ControlCounters& counters, const Clock& clock);

  // Applies the deadlines, and tries again to accept when descriptors had run out.
  void sweep(Instant now);

  const std::string& text() const { return settings_.text; }
  int descriptor() const { return settings_.socket.get(); }
  size_t connections() const { return connections_.size(); }
  void keep_file() { settings_.file.release(); }

 private:
  // Members in this order: the events of the stream go before the descriptor they watch.
  struct Connection {
    UniqueFd socket;
    IpAddress peer;  // invalid for unix sockets
    Instant since;
    std::unique_ptr<CommandStream> stream;
  };
  using Connections = std::list<Connection>;

  void on_readable();
  bool accept_one();
  bool admit(const IpAddress& peer) const;
  // Nobody can keep clients out with connections that are opened and left: at a cap, the oldest
  // one that has had the time for a command and sent none gives way.
  void make_room(const IpAddress& peer);
  void take(UniqueFd socket, const Endpoint& peer);
  void remove(Connections::iterator connection);

  EventLoop& loop_;
  Settings settings_;
  CommandExecutor& executor_;
  ControlCounters& counters_;
  const Clock& clock_;
  Connections connections_;  // in the order of their arrival
  std::unordered_map<IpAddress, size_t> connections_of_peer_;
  FdEvent readable_;
};

}  // namespace relay
