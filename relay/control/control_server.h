// All control sockets of the daemon: made (or adopted) from the configuration, their commands
// handed to one CommandExecutor. Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/config/config.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/event_loop.h"
#include "relay/control/reply_cache.h"
#include "relay/control/stdio_channel.h"
#include "relay/control/stream_listener.h"
#include "relay/control/udp_listener.h"

namespace relay {

struct ControlServerOptions {
  // Already open sockets by their configured text: used instead of making one, so that a restart
  // never closes a control socket (a closed one makes Kamailio and OpenSIPS disable the relay for
  // a minute). Not for stdio:.
  std::map<std::string, UniqueFd> adopted;
  StreamLimits stream_limits;
  ReplyCacheLimits reply_cache_limits;
  int standard_input = 0;
  int standard_output = 1;
  int systemd_descriptor = 3;    // SD_LISTEN_FDS_START
  const Clock* clock = nullptr;  // nullptr: the steady clock
};

class ControlServer {
 public:
  // Nothing is open after an error, which quotes the configured text of the socket at fault.
  // `executor`, `counters` and what `options` points to outlive the server. `on_end_of_input` runs
  // when standard input has ended and the daemon shall drain (stdioc:, or stdio: beside sockets
  // that accept connections only).
  static Result<std::unique_ptr<ControlServer>> create(EventLoop& loop, const StartupConfig& config,
                                                       CommandExecutor& executor,
                                                       ControlCounters& counters,
                                                       std::function<void()> on_end_of_input,
                                                       ControlServerOptions options = {});
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Drops connections past their deadline and replies past their lifetime; runs every second.
  void sweep();

  // The bound sockets by their configured text, to be handed to a successor. They stay ours.
  std::vector<std::pair<std::string, int>> descriptors() const;
  // Leaves unix socket files in place at the end, for a successor that has the descriptors.
  void keep_socket_files();

  const ReplyCache& reply_cache() const { return reply_cache_; }
  size_t connections() const;

 private:
  ControlServer(EventLoop& loop, CommandExecutor& executor, ControlCounters& counters,
                std::function<void()> on_end_of_input, ControlServerOptions options);

  Result<void> open(const ControlSocketConfig& socket, const StartupConfig& config);
  Result<void> open_udp(const ControlSocketConfig& socket);
  Result<void> open_stream(const ControlSocketConfig& socket, const StartupConfig& config);
  Result<void> open_stdio(const ControlSocketConfig& socket, const StartupConfig& config);
  Result<UniqueFd> inherit_from_systemd(const ControlSocketConfig& socket);
  UniqueFd take_adopted(const std::string& text);

  EventLoop& loop_;
  CommandExecutor& executor_;
  ControlCounters& counters_;
  std::function<void()> on_end_of_input_;
  ControlServerOptions options_;
  SteadyClock steady_clock_;
  const Clock& clock_;
  ReplyCache reply_cache_;
  std::vector<std::unique_ptr<UdpListener>> udp_;
  std::vector<std::unique_ptr<StreamListener>> streams_;
  std::unique_ptr<StdioChannel> stdio_;
  Timer sweep_timer_;
};

}  // namespace relay
